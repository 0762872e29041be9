/// Rules for the text of a host name.
public enum HostNameText {
    /// Whether `text` is a lower-case host name without a final dot (RFC 1035 section 2.3.4, RFC 1123 section 2.1):
    /// at most 253 bytes, labels of 1 to 63 letters, digits, `-` and `_`, none with `-` at an end.
    ///
    /// `_` is no part of a host name by the RFC, but container platforms use it in service names. A last label of
    /// digits alone is refused: such text is a mistyped address.
    public static func isValid(_ text: some StringProtocol) -> Bool {
        guard text.utf8.count <= 253 else { return false }
        var last: Substring.UTF8View.SubSequence?
        let labels = Substring(text).utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        for label in labels {
            guard isValidLabel(label) else { return false }
            last = label
        }
        guard labels.count > 1, let last else { return true }
        return !last.allSatisfy { (0x30...0x39).contains($0) }
    }

    private static func isValidLabel(_ label: Substring.UTF8View.SubSequence) -> Bool {
        let hyphen = UInt8(ascii: "-")
        guard (1...63).contains(label.count), label.first != hyphen, label.last != hyphen else { return false }
        return label.allSatisfy {
            switch $0 {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), 0x30...0x39, hyphen, UInt8(ascii: "_"): true
            default: false
            }
        }
    }
}
