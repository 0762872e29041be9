extension Settings {
    /// The settings as a Markdown table: the reference in `docs/configuration.md`.
    public static func reference() -> String {
        let defaults = Settings(node: "", workers: 1, hasIPv6: true)
        var text = "| setting | values | default | unit | meaning |\n|---|---|---|---|---|\n"
        for setting in SettingsTable.all {
            let name = "`\(setting.name)`" + (setting.kind.isRepeatable ? " (several)" : "")
            let shown = setting.shownDefault(defaults)
            text += "| \(name) | \(setting.kind.values) | \(shown) | \(setting.unit) | \(setting.help) |\n"
        }
        return text
    }

    /// The flags of `meshd run` for `--help`, one or two lines each.
    public static func help() -> String {
        let defaults = Settings(node: "", workers: 1, hasIPv6: true)
        var text = "  --config FILE\n      Read settings from a YAML file; flags win.\n"
        for setting in SettingsTable.all {
            let help = String(setting.help.filter { $0 != "`" })
            let several = setting.kind.isRepeatable ? " (may be given several times)" : ""
            text += "  --\(setting.name) \(setting.kind.values)\n"
            text += "      \(help) Default: \(setting.shownDefault(defaults)).\(several)\n"
        }
        return text
    }

    /// Names of settings that a reload applies; all others wait for the next start.
    public static let changeableWhileRunning: Set<String> = ["log-level"]

    /// Names of the settings whose values differ, in the order of the reference.
    public func differences(from other: Settings) -> [String] {
        SettingsTable.all.filter { $0.kind.current(self) != $0.kind.current(other) }.map(\.name)
    }
}
