-- Prints what wrk counted in one line that a program can read.
function done(summary, latency, requests)
    local e = summary.errors
    io.write(string.format(
        "perf requests=%d duration_us=%d bytes=%d connect=%d read=%d write=%d status=%d timeout=%d " ..
        "p50_us=%d p99_us=%d\n",
        summary.requests, summary.duration, summary.bytes,
        e.connect, e.read, e.write, e.status, e.timeout,
        latency:percentile(50), latency:percentile(99)))
end
