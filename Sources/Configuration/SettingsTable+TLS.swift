extension SettingsTable {
    static var tls: [Setting] {
        [
            Setting("https", .endpoint(\.tls.https), "Web listener that speaks TLS. None: no TLS."),
            Setting(
                "certificates", .path(\.tls.certificates),
                "Folder of `NAME.crt` with `NAME.key`, or `NAME.pem` with both; watched."),
            Setting(
                "default-certificate", .path(\.tls.defaultCertificate), default: "the first by name",
                "NAME of the certificate for clients without a known server name."),
            Setting("tls-minimum", .word(\.tls.minimum), "Oldest version of TLS that is spoken."),
            Setting("tls-ciphers", .text(\.tls.ciphers), "Ciphers of TLS 1.2, as OpenSSL's list."),
            Setting("tls-cipher-suites", .text(\.tls.cipherSuites), "Cipher suites of TLS 1.3."),
            Setting("tls-groups", .text(\.tls.groups), "Groups of the key exchange, the preferred one first."),
            Setting(
                "handshake-timeout-seconds", .seconds(\.tls.handshakeTimeoutSeconds, 0.1...3_600), unit: "s",
                "From accepting a connection to the end of its TLS handshake."),
            Setting(
                "max-handshakes", .integer(\.tls.maxHandshakes, 1...1_000_000),
                "TLS handshakes under way on one worker; one more ends the oldest."),
            Setting(
                "ticket-rotation-seconds", .seconds(\.tls.ticketRotationSeconds, 1...604_800), unit: "s",
                "How long a key makes session tickets; they are taken for twice as long."),
            Setting(
                "ticket-keys", .path(\.tls.ticketKeys),
                "File of one to three ticket keys that several nodes share; watched. None: own keys, rotated."),
            Setting(
                "client-ca", .path(\.tls.clientAuthorities),
                "PEM bundle of the authorities whose clients are taken."),
            Setting(
                "client-certificates", .word(\.tls.clientCertificates),
                "Whether TLS clients are asked for a certificate of `client-ca`."),
            Setting(
                "hsts-max-age", .integer(\.tls.hstsMaxAgeSeconds, 0...630_720_000), unit: "s",
                "Strict-Transport-Security over TLS, where a route has none of its own; 0: none."),
            Setting(
                "redirect-https", .integer(\.tls.redirectPort, 0...65_535),
                "Port that requests of the `http` listener are redirected to, as `https`; 0: they are served."),
        ]
    }
}
