// swift-tools-version: 6.2
import PackageDescription

/// One set of rules for every target: Swift 6 mode, explicit existentials, warnings are errors.
///
/// Release builds leave out the run-time check of exclusive access, which debug builds and so all tests keep: it was
/// a third of what a keep-alive request costs outside the kernel (callgrind: 18,800 instructions with it, 12,200
/// without).
let settings: [SwiftSetting] = [
    .unsafeFlags(["-enforce-exclusivity=unchecked"], .when(configuration: .release)),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .treatAllWarnings(as: .error),
]

func target(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: settings)
}

func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .testTarget(name: name, dependencies: dependencies, swiftSettings: settings)
}

let package = Package(
    name: "meshd",
    products: [.executable(name: "meshd", targets: ["meshd"])],
    targets: [
        // C modules: a module map and a shim header, no logic.
        .systemLibrary(name: "CLinux"),
        .systemLibrary(name: "CYAML", providers: [.apt(["libyaml-dev"])]),
        .systemLibrary(name: "CNGHTTP2", providers: [.apt(["libnghttp2-dev"])]),
        .systemLibrary(name: "COpenSSL", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(name: "CSystemd", providers: [.apt(["libsystemd-dev"])]),

        // Pure: no I/O, no other target.
        target("HTTPCodec"),
        target("JSONCodec"),
        target("NetAddress"),
        target("MeshCore", ["NetAddress"]),
        target("YAML", ["CYAML"]),
        target("Configuration", ["YAML", "NetAddress"]),

        // The only target that makes system calls on descriptors.
        target("Reactor", ["CLinux", "COpenSSL", "NetAddress"]),

        // What the node does. None of these imports another.
        target("HTTPClient", ["Reactor", "HTTPCodec", "NetAddress", "CNGHTTP2"]),
        target("AliasDNS", ["Reactor", "MeshCore", "NetAddress"]),
        target("L4Proxy", ["Reactor", "MeshCore", "NetAddress"]),
        target("L7Router", ["Reactor", "MeshCore", "HTTPCodec", "NetAddress", "CNGHTTP2"]),
        target("HealthProber", ["Reactor", "MeshCore", "HTTPClient", "NetAddress"]),
        target("Registry", ["Reactor", "MeshCore", "HTTPClient", "JSONCodec", "YAML", "NetAddress"]),

        // Command line, wiring, control loop, admin.
        .executableTarget(
            name: "meshd",
            dependencies: [
                "Reactor", "HTTPCodec", "MeshCore", "NetAddress", "HTTPClient", "JSONCodec", "AliasDNS", "L4Proxy",
                "L7Router", "HealthProber", "Registry", "Configuration", "CSystemd",
            ],
            swiftSettings: settings
        ),

        // Seeded random numbers and byte helpers of the tests.
        .target(name: "TestSupport", path: "Tests/TestSupport", swiftSettings: settings),
        tests("NetAddressTests", ["NetAddress", "TestSupport"]),
        tests("HTTPCodecTests", ["HTTPCodec", "TestSupport"]),
        tests("JSONCodecTests", ["JSONCodec", "TestSupport"]),
        tests("MeshCoreTests", ["MeshCore", "NetAddress", "TestSupport"]),
        tests("L4ProxyTests", ["L4Proxy", "MeshCore", "Reactor", "CLinux", "NetAddress", "TestSupport"]),
        tests(
            "L7RouterTests",
            ["L7Router", "MeshCore", "HTTPCodec", "Reactor", "CLinux", "CNGHTTP2", "NetAddress", "TestSupport"]),
        tests("ReactorTests", ["Reactor", "CLinux", "NetAddress", "TestSupport"]),
        // Reads the sources: imports, banned calls, sizes.
        tests("TidyTests", []),
        tests("AliasDNSTests", ["AliasDNS", "MeshCore", "NetAddress", "Reactor"]),
        tests("YAMLTests", ["YAML"]),
        tests(
            "RegistryTests",
            ["Registry", "Reactor", "MeshCore", "HTTPClient", "JSONCodec", "NetAddress", "TestSupport"]),
        tests("ConfigurationTests", ["Configuration", "NetAddress"]),

        // Servers on threads that follow a test's script.
        .target(
            name: "ScriptedServer", dependencies: ["Reactor", "NetAddress"], path: "Tests/ScriptedServer",
            swiftSettings: settings),
        tests(
            "HTTPClientTests", ["HTTPClient", "HTTPCodec", "Reactor", "NetAddress", "ScriptedServer", "TestSupport"]),
        tests("HealthProberTests", ["HealthProber", "MeshCore", "Reactor", "NetAddress", "ScriptedServer"]),
        // Drives the binary that is built beside it.
        .testTarget(
            name: "EndToEnd", dependencies: ["CLinux", "TestSupport"], exclude: ["Programs"], swiftSettings: settings),
    ]
)
