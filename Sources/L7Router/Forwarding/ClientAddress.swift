import HTTPCodec
import NetAddress

/// Whose request it is, where trusted proxies stand before meshd: the rightmost address of the forwarding field that is
/// not a trusted proxy's.
///
/// Only one field is read, the one that is sent: `Forwarded` where it alone is, otherwise `X-Forwarded-For`. A proxy
/// that sets one of them passes on what its client said in the other. What is no address (`unknown`, an obfuscated
/// name, nonsense) ends the search: the client is then the last trusted proxy before it.
struct ClientAddress {
    private let options: ForwardingOptions
    private var found: IPAddress?

    private init(_ options: ForwardingOptions) { self.options = options }

    /// - Parameter peer: a trusted proxy.
    static func find(
        _ fields: FieldTable, from base: UnsafeRawPointer, peer: IPAddress, _ options: ForwardingOptions
    ) -> IPAddress {
        var search = ClientAddress(options)
        let isForwarded = options.fields == .forwarded
        for index in 0..<fields.count where fields.fields[index].known == (isForwarded ? .forwarded : .xForwardedFor) {
            let value = fields.fields[index].value.bytes(in: base)
            if isForwarded {
                // Nothing can be told of a malformed list: the peer is all there is.
                let isWhole = ForwardedList.forEachNode(value) {
                    search.pass(ForwardedNode.address($0, mayBeBare: false))
                }
                guard isWhole else { return peer }
            } else {
                ForwardedList.forEachMember(value) { search.pass(ForwardedNode.address($0, mayBeBare: true)) }
            }
        }
        return search.found ?? peer
    }

    /// From left to right, so that the last word is the rightmost: an untrusted address hides all before it, a trusted
    /// one only counts where nothing better came before.
    private mutating func pass(_ address: IPAddress?) {
        guard let address else {
            found = nil
            return
        }
        if found == nil || !options.trusts(address) { found = address }
    }
}

/// A node of a forwarding field (RFC 7239 section 6): an address, with or without a port.
enum ForwardedNode {
    /// - Parameter mayBeBare: IPv6 may stand without brackets, as in `X-Forwarded-For`.
    /// - Returns: `nil` for `unknown`, an obfuscated name and anything else.
    static func address(_ node: UnsafeRawBufferPointer?, mayBeBare: Bool) -> IPAddress? {
        guard let node, let first = node.first else { return nil }
        if first == UInt8(ascii: "[") {
            guard let end = node.firstIndex(of: UInt8(ascii: "]")), isPort(node[(end + 1)...]),
                let address = IPAddress(bytes: UnsafeRawBufferPointer(rebasing: node[1..<end]))
            else { return nil }
            // Brackets are for IPv6.
            return node[1..<end].contains(UInt8(ascii: ":")) ? address : nil
        }
        guard let colon = node.firstIndex(of: UInt8(ascii: ":")) else { return IPAddress(bytes: node) }
        if node[(colon + 1)...].contains(UInt8(ascii: ":")) { return mayBeBare ? IPAddress(bytes: node) : nil }
        return isPort(node[colon...]) ? IPAddress(bytes: UnsafeRawBufferPointer(rebasing: node[..<colon])) : nil
    }

    /// Nothing, or a colon and one to five digits or an obfuscated port.
    private static func isPort(_ text: Slice<UnsafeRawBufferPointer>) -> Bool {
        guard let colon = text.first else { return true }
        let port = text.dropFirst()
        guard colon == UInt8(ascii: ":"), let first = port.first else { return false }
        if first == UInt8(ascii: "_") { return port.count > 1 && port.dropFirst().allSatisfy(isObfuscated) }
        return port.count <= 5 && port.allSatisfy { $0 &- 48 < 10 }
    }

    private static func isObfuscated(_ byte: UInt8) -> Bool {
        byte &- 48 < 10 || (byte | 0x20) &- 97 < 26 || byte == UInt8(ascii: ".") || byte == UInt8(ascii: "_")
            || byte == UInt8(ascii: "-")
    }
}
