-- Sends requests to the hosts listed in the file $PERF_HOSTS, one after the other, for ever.
-- Requests are formatted once, so that the loader's own work stays small.
dofile(debug.getinfo(1, "S").source:sub(2):match("(.*/)") .. "report.lua")

local requests = {}
local next_request = 0

function init(args)
    for host in io.lines(os.getenv("PERF_HOSTS")) do
        requests[#requests + 1] = wrk.format("GET", nil, { Host = host })
    end
end

function request()
    next_request = next_request % #requests + 1
    return requests[next_request]
end
