import HTTPCodec
import MeshCore
import Reactor

// Which service a request goes to, and what becomes of it on the way.

extension Exchange {
    enum Routing {
        /// The pool is set.
        case toPool(RouteAction?)
        case refused(ErrorResponse)
    }

    /// Cookies of one request whose seal is looked at.
    private static let ticketLimit = 16

    /// Sets the pool and the session.
    func chooseRoute(_ client: ClientConnection, _ head: RequestHead, _ base: UnsafeRawPointer) -> Routing {
        // Uncounted once instead of counted at each question.
        Unmanaged.passUnretained(worker.balancer)._withUnsafeGuaranteedRef { chooseRoute(client, head, base, $0) }
    }

    private func chooseRoute(
        _ client: ClientConnection, _ head: RequestHead, _ base: UnsafeRawPointer, _ balancer: Balancer
    ) -> Routing {
        if asksUpgrade, !requestBody.isFinished { return .refused(ErrorResponse(.bodyOnUpgrade)) }
        isSecure = client.isSecure || client.isTrusted && Self.saysHTTPS(worker.trailers.fields, base)
        guard client.binding.isWeb else {
            pool = client.binding.pool
            guard pool >= 0 else { return .refused(.noService) }
            beginSession(balancer, balancer.session(pool) == 0 ? SessionTickets() : readTickets(base))
            return .toPool(nil)
        }
        let host = head.host.bytes(in: base)
        // A client that has verified a certificate of several names may ask for all of them (RFC 9113 section 9.1.1).
        if client.isSecure, balancer.relaysSessions(for: host) { return .refused(.misdirected) }
        let fields = worker.trailers.fields
        let request = RouteRequest(
            host: host, path: head.path.bytes(in: base), method: head.methodRange.bytes(in: base),
            port: head.port(in: base), isSecure: isSecure)
        let rule = balancer.rule(request) { name, index in fields.nextValue(name, from: &index, in: base) }
        guard let rule else {
            // A route that takes requests over TLS only is worth a redirect.
            if worker.options.httpsPort > 0, !isSecure, isRouted(request.overTLS, fields, base) { return .toPool(nil) }
            return .refused(.unknownHost(worker.options.unknownHostStatus))
        }
        let tickets = balancer.isSticky(rule: rule) ? readTickets(base) : SessionTickets()
        guard let choice = balancer.choose(rule: rule, tickets) else {
            pool = -1
            return .toPool(nil)
        }
        pool = choice.pool
        beginSession(balancer, tickets)
        let action = balancer.action(choice)
        if isSecure { transportSecurity = action?.transportSecurity ?? worker.options.transportSecurity }
        return .toPool(action)
    }

    private func isRouted(_ request: RouteRequest, _ fields: FieldTable, _ base: UnsafeRawPointer) -> Bool {
        worker.balancer.rule(request) { name, index in fields.nextValue(name, from: &index, in: base) } != nil
    }

    /// A trusted proxy before meshd ended TLS: without heeding it a redirect to https would never end.
    private static func saysHTTPS(_ fields: FieldTable, _ base: UnsafeRawPointer) -> Bool {
        var index = 0
        guard let value = fields.nextValue("x-forwarded-proto", from: &index, in: base) else { return false }
        return value.count == 5 && zip(value, "https".utf8).allSatisfy { $0 == $1 }
    }

    // MARK: - Sessions

    private var wallSeconds: UInt32 { UInt32(truncatingIfNeeded: WallClock.nowNanoseconds() / 1_000_000_000) }

    private func beginSession(_ balancer: Balancer, _ tickets: SessionTickets) {
        session = balancer.session(pool)
        ticket = session == 0 ? nil : tickets.ticket(of: session)
    }

    private func readTickets(_ base: UnsafeRawPointer) -> SessionTickets {
        var tickets = SessionTickets()
        var looked = 0
        let now = wallSeconds
        let key = worker.options.sessionKey
        var index = 0
        while let cookies = worker.trailers.fields.nextValue("cookie", from: &index, in: base) {
            CookieList.forEach(cookies) { name, value in
                guard name.count == SessionTicket.nameCount, value.count == SessionTicket.valueCount,
                    looked < Self.ticketLimit
                else { return }
                looked += 1
                if let ticket = SessionTicket(name: name, value: value, key: key, now: now) { tickets.insert(ticket) }
            }
        }
        return tickets
    }

    /// The ticket that the client is to have from now on; `nil` where the one it has is good enough.
    func renewedTicket() -> SessionTicket? {
        guard session != 0, let endpoint, endpoint.session != 0 else { return nil }
        let now = wallSeconds
        guard let ticket, ticket.instance == endpoint.session else {
            return SessionTicket(service: session, instance: endpoint.session, issued: now, seen: now)
        }
        // A clock that is behind the one which wrote the ticket leaves it as it is.
        guard now >= ticket.seen, now - ticket.seen >= SessionTicket.renewalSeconds else { return nil }
        return SessionTicket(service: session, instance: endpoint.session, issued: ticket.issued, seen: now)
    }

    // MARK: - Redirects

    /// Where the route, or the listener, sends this request; `nil`: it is passed on.
    func redirect(_ client: ClientConnection, _ action: RouteAction?) -> RouteAction.Redirect? {
        let toHTTPS: RouteAction.Redirect? =
            client.binding.isWeb && worker.options.httpsPort > 0 ? .https(port: worker.options.httpsPort) : nil
        guard let redirect = action?.redirect ?? toHTTPS else { return nil }
        if case .https = redirect, isSecure { return nil }
        return redirect
    }

    /// Answers with a redirect. The head must still lie in the client's input.
    func answer(
        _ client: ClientConnection, redirectingTo redirect: RouteAction.Redirect, _ action: RouteAction?,
        _ head: RequestHead, _ base: UnsafeRawPointer
    ) -> Redirection {
        if case .https = redirect, head.host.isEmpty { return .refused(ErrorResponse(.missingHost)) }
        guard var writer = client.output.writer(buffers) else { return .refused(.overloaded) }
        let status =
            action.flatMap { $0.redirectStatus == 0 ? nil : $0.redirectStatus } ?? Self.status(redirect, head.method)
        writer.appendRedirect(
            redirect, status: status, head, from: base, closes: closesAfterAnswer, policy: transportSecurity,
            requestID: toldRequestID)
        guard !writer.hasOverflowed else { return .refused(ErrorResponse(.headTooLarge)) }
        client.output.commit(writer)
        return .answered(status)
    }

    enum Redirection {
        /// It is in the client's output.
        case answered(Int)
        case refused(ErrorResponse)
    }

    /// What the operator did not choose: for good to TLS, for now elsewhere; with the method kept where it matters
    /// (RFC 9110 section 15.4).
    private static func status(_ redirect: RouteAction.Redirect, _ method: RequestHead.Method) -> Int {
        let isPlain = method == .get || method == .head
        if case .https = redirect { return isPlain ? 301 : 308 }
        return isPlain ? 302 : 307
    }
}
