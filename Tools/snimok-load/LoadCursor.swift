// SPDX-License-Identifier: Apache-2.0
import DICOM
import DIMSE
import Platform

/// Reads or makes one instance after the other.
protocol LoadCursor: AnyObject {
    /// Goes to an instance. Nil: there is none, for a file is no DICOM.
    func select(_ number: Int) throws(SystemError) -> StoreSender.Instance?

    /// Bytes of the data set selected.
    var dataSetBytes: Int { get }

    /// Hands out the data set selected, piece by piece.
    func forEachPiece<Failure: Error>(
        onError: (SystemError) -> Failure, _ body: LoadJob.Pieces<Failure>
    ) throws(Failure)
}

/// Instances in files.
final class FileCursor: LoadCursor {
    private let files: [String]
    private var file: DICOMFile?

    init(files: [String]) { self.files = files }

    func select(_ number: Int) throws(SystemError) -> StoreSender.Instance? {
        file = try DICOMFile(files[number])
        guard let meta = file?.meta else { return nil }
        return StoreSender.Instance(
            sopClassUID: meta.sopClassUID, sopInstanceUID: meta.sopInstanceUID,
            transferSyntaxUID: meta.transferSyntaxUID)
    }

    var dataSetBytes: Int { file.map { Int($0.length) - $0.meta.dataSetOffset } ?? 0 }

    func forEachPiece<Failure: Error>(
        onError: (SystemError) -> Failure, _ body: LoadJob.Pieces<Failure>
    ) throws(Failure) {
        try file?.forEachPiece(onError: onError, body)
    }
}

/// Instances made up.
final class SyntheticCursor: LoadCursor {
    private let options: SyntheticOptions
    private let pixels: PixelSource
    private var study: SyntheticStudy
    private var studyNumber = 0
    private var selected: (instance: StoreSender.Instance, number: Int)?

    init(options: SyntheticOptions, pixels: PixelSource) {
        self.options = options
        self.pixels = pixels
        study = SyntheticStudy(options, index: 0)
    }

    func select(_ number: Int) -> StoreSender.Instance? {
        if number / options.instances != studyNumber {
            studyNumber = number / options.instances
            study = SyntheticStudy(options, index: studyNumber)
        }
        let instance = study.instance(number % options.instances)
        selected = (instance, number % options.instances)
        return instance
    }

    var dataSetBytes: Int { study.dataSetBytes }

    func forEachPiece<Failure: Error>(
        onError: (SystemError) -> Failure, _ body: LoadJob.Pieces<Failure>
    ) throws(Failure) {
        guard let selected else { return }
        try study.forEachPiece(of: selected.instance, number: selected.number, pixels: pixels, body)
    }
}
