// swift-tools-version: 6.1
// SPDX-License-Identifier: Apache-2.0
import PackageDescription

let strict: [SwiftSetting] = [.enableUpcomingFeature("ExistentialAny")]

func module(_ name: String, _ dependencies: [Target.Dependency], path: String? = nil) -> Target {
    .target(name: name, dependencies: dependencies, path: path, swiftSettings: strict)
}

func tests(_ name: String, _ dependencies: [Target.Dependency], exclude: [String] = []) -> Target {
    .testTarget(name: name, dependencies: dependencies, exclude: exclude, swiftSettings: strict)
}

let package = Package(
    name: "snimok",
    targets: [
        // C libraries, each for one job (ARCHITECTURE.md, "Dependencies").
        .target(name: "CSystem"),
        .systemLibrary(name: "CSQLite", pkgConfig: "sqlite3", providers: [.apt(["libsqlite3-dev"])]),
        .systemLibrary(name: "CSodium", pkgConfig: "libsodium", providers: [.apt(["libsodium-dev"])]),
        .systemLibrary(name: "COpenSSL", pkgConfig: "openssl", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(name: "CXXHash", pkgConfig: "libxxhash", providers: [.apt(["libxxhash-dev"])]),
        .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
        .systemLibrary(
            name: "CMicroHTTPD", pkgConfig: "libmicrohttpd", providers: [.apt(["libmicrohttpd-dev"])]),

        // The only C++: codecs and rendering, for the worker process alone.
        .target(
            name: "CCodecs", dependencies: ["CFreeType"],
            cxxSettings: [.define("HAVE_CONFIG_H")],
            linkerSettings: [
                "dcmimage", "dcmimgle", "dcmjpeg", "dcmjpls", "dcmdata", "oflog", "ofstd", "openjp2", "jpeg",
                "png",
            ].map { .linkedLibrary($0) }),

        // Ours, in C for its vectors.
        .target(name: "CBlake3", path: "Storage/CBlake3"),

        .systemLibrary(name: "CFreeType", pkgConfig: "freetype2", providers: [.apt(["libfreetype-dev"])]),

        // From the bottom upwards; imports go downwards only.
        module("Platform", ["CSystem"]),
        module("DICOM", ["Platform", "CZlib"]),
        module("DICOMNetwork", []),
        module("BlobLog", ["Platform", "CBlake3", "CSystem", "CSodium", "CXXHash"], path: "Storage/BlobLog"),
        module("Database", ["Platform", "CSQLite"], path: "Storage/Database"),
        module("Catalog", ["Platform", "Database"], path: "Storage/Catalog"),
        module("Control", ["Platform", "Database"], path: "Storage/Control"),
        module("Transport", ["Platform", "DICOMNetwork", "CSystem", "COpenSSL"]),
        module("HTTP", ["Platform", "CSystem", "CMicroHTTPD"]),
        module("Archive", ["Platform", "DICOM", "BlobLog", "Catalog", "CSodium"]),
        module("Mirroring", ["Platform", "Transport", "BlobLog"]),
        module("Audit", ["Platform", "CSodium"]),
        module("Access", ["Audit", "Platform", "Catalog", "Control", "Database", "CSodium", "COpenSSL"]),
        module(
            "DIMSE",
            [
                "Access", "Audit", "Platform", "DICOM", "DICOMNetwork", "Transport", "Archive", "Imaging", "BlobLog",
                "Catalog", "Control", "Database",
            ]),
        module("Imaging", ["Platform", "DICOM", "Archive", "BlobLog", "CCodecs", "CSystem"]),
        module(
            "DICOMweb",
            [
                "Access", "Audit", "Platform", "DICOM", "HTTP", "Archive", "Imaging", "BlobLog", "Catalog", "CSodium",
                "CXXHash",
                "CZlib",
            ]),
        module(
            "Server",
            [
                "Access", "Audit", "Platform", "CSystem", "DICOM", "DICOMNetwork", "Transport", "HTTP", "Archive",
                "Mirroring",
                "Imaging", "DIMSE", "DICOMweb", "BlobLog", "Catalog", "Control", "Database",
            ]),
        .executableTarget(name: "snimok", dependencies: ["Server"], swiftSettings: strict),

        // What people run around the archive.
        .executableTarget(name: "generate-dictionary", path: "Tools/generate-dictionary", swiftSettings: strict),
        module("Seeded", [], path: "Tools/Seeded"),
        .executableTarget(
            name: "snimok-load",
            dependencies: ["Platform", "DICOM", "DICOMNetwork", "Transport", "DIMSE", "Archive", "BlobLog", "Seeded"],
            path: "Tools/snimok-load", swiftSettings: strict),
        .executableTarget(
            name: "snimok-limits",
            dependencies: ["Platform", "DICOM", "DICOMNetwork", "Transport", "BlobLog", "CSystem"],
            path: "Tools/snimok-limits", swiftSettings: strict),
        .executableTarget(
            name: "snimok-prove", dependencies: ["Platform", "BlobLog", "CSystem", "Seeded"],
            path: "Tools/snimok-prove", swiftSettings: strict),
        // Replays inputs in an ordinary build; fuzzes in that of Tools/fuzz.
        .systemLibrary(name: "CLibFuzzer", path: "Tools/snimok-fuzz/CLibFuzzer"),
        .executableTarget(
            name: "snimok-fuzz",
            dependencies: [
                "Platform", "CSystem", "DICOM", "DICOMNetwork", "Transport", "HTTP", "Archive", "DICOMweb", "BlobLog",
                "Catalog", "CCodecs", "CLibFuzzer",
            ],
            path: "Tools/snimok-fuzz/Fuzz", swiftSettings: strict),

        tests("AccessTests", ["Access", "Catalog", "Control", "Database", "Platform", "COpenSSL"]),
        tests("ArchiveTests", ["Archive", "Catalog", "BlobLog", "Platform", "CSQLite"]),
        tests("AuditTests", ["Audit", "Platform"]),
        tests("BlobLogTests", ["BlobLog", "Platform", "CSystem"]),
        tests("CCodecsTests", ["CCodecs"]),
        tests("CatalogTests", ["Catalog", "Database", "Platform", "CSQLite"], exclude: ["mutants.py"]),
        tests("ControlTests", ["Control", "Database"]),
        tests("DICOMNetworkTests", ["DICOMNetwork"]),
        tests("DICOMTests", ["DICOM", "Platform"]),
        tests("DIMSETests", ["DIMSE", "DICOMNetwork", "Transport", "Access", "Catalog"]),
        tests("HTTPTests", ["HTTP"]),
        tests("TransportTests", ["Transport", "Platform", "COpenSSL"]),
    ],
    swiftLanguageModes: [.v6],
    cxxLanguageStandard: .cxx17
)
