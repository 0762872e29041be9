enum DemoCommand {
    static func run(_ arguments: [String]) -> Int32 { 1 }
}
