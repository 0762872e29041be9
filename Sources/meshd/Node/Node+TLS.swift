import Configuration
import L7Router
import Reactor

extension Node {
    func tlsOptions() -> TLSFrontOptions {
        var options = TLSFrontOptions()
        options.handshakeTimeout = UInt64(settings.tls.handshakeTimeoutSeconds * 1e9)
        options.handshakeLimit = settings.tls.maxHandshakes
        return options
    }

    func certificateSetup() throws -> CertificateKeeper.Setup {
        let tls = settings.tls
        var policy = TLSPolicy()
        policy.offersHTTP2 = true
        policy.minimum = tls.minimum == .v12 ? .tls12 : .tls13
        policy.ciphers = tls.ciphers
        policy.suites = tls.cipherSuites
        policy.groups = tls.groups
        policy.ticketSeconds = min(Int(tls.ticketRotationSeconds * 2), 604_800)
        switch tls.clientCertificates {
        case .none: policy.clientCertificates = .none
        case .optional: policy.clientCertificates = .optional
        case .required: policy.clientCertificates = .required
        }
        if policy.clientCertificates != .none { policy.clientAuthorities = try clientAuthorities() }
        return .init(
            policy: policy, folder: tls.certificates, preferred: tls.defaultCertificate,
            ticketKeysPath: tls.ticketKeys,
            clientAuthoritiesPath: policy.clientCertificates == .none ? nil : tls.clientAuthorities,
            rotationNanoseconds: UInt64(tls.ticketRotationSeconds * 1e9))
    }

    private func clientAuthorities() throws -> [UInt8] {
        guard let path = settings.tls.clientAuthorities else {
            throw StartFailure(message: "--client-certificates needs --client-ca")
        }
        do {
            let bundle = try ClientAuthoritiesFile.read(path)
            try TLSCertificate.checkAuthorities(bundle)
            return bundle
        } catch {
            throw StartFailure(message: "--client-ca \(path): \(error)")
        }
    }
}
