import NetAddress
import Testing

@Suite struct SocketAddressTests {
    @Test(arguments: ["127.0.0.1:80", "0.0.0.0:0", "[::1]:65535", "[2001:db8::1]:443"])
    func roundTrip(text: String) { #expect(SocketAddress(text)?.description == text) }

    @Test func mappedAddressIsWrittenAsIPv4() {
        #expect(SocketAddress("[::ffff:1.2.3.4]:80")?.description == "1.2.3.4:80")
    }

    @Test(arguments: [
        "", ":", ":80", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:+80", "127.0.0.1:-0", "127.0.0.1:8 0",
        "127.0.0.1:000080", "::1:80", "[::1]", "[::1]:", "[::1:80", "::1]:80", "[127.0.0.1]:80", "[]:80", "[[::1]]:80",
        "host:80", "[::1%lo]:80", "127.0.0.1:٨٠",
    ])
    func refuses(text: String) { #expect(SocketAddress(text) == nil) }

    @Test func portDigits() {
        #expect(UInt16(digits: "0") == 0)
        #expect(UInt16(digits: "65535") == 65535)
        for text in ["", "65536", "99999", "123456", "+1", "-0", "0x1", " 1", "1 "] {
            #expect(UInt16(digits: text) == nil)
        }
    }

    @Test func orderIsAddressThenPort() {
        let sorted = ["10.0.0.1:1", "10.0.0.1:2", "10.0.0.2:0"].map { SocketAddress($0)! }
        #expect(sorted.reversed().sorted() == sorted)
    }
}
