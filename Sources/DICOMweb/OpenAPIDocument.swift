// SPDX-License-Identifier: Apache-2.0

/// The description of the whole HTTP interface, as `/openapi.json` gives it (OpenAPI 3.0.3).
/// Tests/Interop/test_openapi.py holds the running archive against it.
package enum OpenAPIDocument {
    package static let json = #"""
        {
         "openapi": "3.0.3",
         "info": {
          "title": "Snimok",
          "version": "1",
          "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
          "description": "DICOMweb (PS3.18) of the archive. HEAD is answered wherever GET is, OPTIONS everywhere; \#
        other methods get 405 with Allow. Paths are those of the default configuration."
         },
         "servers": [{"url": "/"}],
         "tags": [
          {"name": "Search", "description": "QIDO-RS, PS3.18 section 10.6"},
          {"name": "Retrieve", "description": "WADO-RS, PS3.18 section 10.4"},
          {"name": "Rendered", "description": "Pictures made here, PS3.18 section 10.4.1.1.3"},
          {"name": "Store", "description": "STOW-RS, PS3.18 section 10.5"},
          {"name": "Delete", "description": "Deletion"},
          {"name": "Sharing", "description": "A study shown to another organisation for a time"},
          {"name": "URI service", "description": "WADO-URI, PS3.18 section 9"},
          {"name": "About", "description": "The archive itself"}
         ],
         "paths": {
          "/dicom-web/studies": {
           "get": {
            "operationId": "searchStudies",
            "tags": ["Search"],
            "summary": "Studies",
            "description": "Any attribute may be matched: by keyword (`PatientID=1`), by tag (`00100020=1`), or \#
        within a sequence by a path with dots. Only the usual ones are listed here.",
            "parameters": [
             {"$ref": "#/components/parameters/PatientName"}, {"$ref": "#/components/parameters/PatientID"},
             {"$ref": "#/components/parameters/StudyDate"}, {"$ref": "#/components/parameters/StudyTime"},
             {"$ref": "#/components/parameters/AccessionNumber"},
             {"$ref": "#/components/parameters/ModalitiesInStudy"},
             {"$ref": "#/components/parameters/ReferringPhysicianName"},
             {"$ref": "#/components/parameters/StudyDescription"},
             {"$ref": "#/components/parameters/StudyInstanceUID"}, {"$ref": "#/components/parameters/includefield"},
             {"$ref": "#/components/parameters/limit"}, {"$ref": "#/components/parameters/offset"},
             {"$ref": "#/components/parameters/fuzzymatching"}, {"$ref": "#/components/parameters/acceptSearch"}
            ],
            "responses": {
             "401": {"$ref": "#/components/responses/Unauthorized"},
             "403": {"$ref": "#/components/responses/Forbidden"},
             "429": {"$ref": "#/components/responses/TooMany"},
             "200": {"$ref": "#/components/responses/Matches"}, "204": {"$ref": "#/components/responses/NoMatch"},
             "400": {"$ref": "#/components/responses/BadRequest"},
             "406": {"$ref": "#/components/responses/NotAcceptable"},
             "413": {"$ref": "#/components/responses/TooLarge"},
             "414": {"$ref": "#/components/responses/AddressTooLong"},
             "503": {"$ref": "#/components/responses/Unavailable"}
            }
           },
           "post": {
            "operationId": "store",
            "tags": ["Store"],
            "summary": "Stores instances",
            "description": "Part 10 files, each a part; or attributes as DICOM JSON, with their bulk data in further \#
        parts.",
            "parameters": [{"$ref": "#/components/parameters/acceptStore"}],
            "requestBody": {"$ref": "#/components/requestBodies/Instances"},
            "responses": {
             "401": {"$ref": "#/components/responses/Unauthorized"},
             "403": {"$ref": "#/components/responses/Forbidden"},
             "429": {"$ref": "#/components/responses/TooMany"},
             "200": {"$ref": "#/components/responses/StoredAll"}, "202": {"$ref": "#/components/responses/StoredSome"},
             "409": {"$ref": "#/components/responses/StoredNone"},
             "400": {"$ref": "#/components/responses/BadRequest"},
             "406": {"$ref": "#/components/responses/NotAcceptable"},
             "413": {"$ref": "#/components/responses/TooLarge"},
             "414": {"$ref": "#/components/responses/AddressTooLong"},
             "415": {"$ref": "#/components/responses/UnsupportedMediaType"},
             "503": {"$ref": "#/components/responses/Unavailable"}, "507": {"$ref": "#/components/responses/NoSpace"}
            }
           }
          },
          "/dicom-web/series": {
           "get": {
            "operationId": "searchSeries",
            "tags": ["Search"],
            "summary": "Series of all studies",
            "description": "Any attribute may be matched: by keyword (`PatientID=1`), by tag (`00100020=1`), or \#
        within a sequence by a path with dots. Only the usual ones are listed here.",
            "parameters": [
             {"$ref": "#/components/parameters/PatientName"}, {"$ref": "#/components/parameters/PatientID"},
             {"$ref": "#/components/parameters/StudyDate"}, {"$ref": "#/components/parameters/StudyTime"},
             {"$ref": "#/components/parameters/AccessionNumber"},
             {"$ref": "#/components/parameters/ModalitiesInStudy"},
             {"$ref": "#/components/parameters/ReferringPhysicianName"},
             {"$ref": "#/components/parameters/StudyDescription"},
             {"$ref": "#/components/parameters/StudyInstanceUID"}, {"$ref": "#/components/parameters/Modality"},
             {"$ref": "#/components/parameters/SeriesInstanceUID"}, {"$ref": "#/components/parameters/SeriesNumber"},
             {"$ref": "#/components/parameters/SeriesDescription"}, {"$ref": "#/components/parameters/includefield"},
             {"$ref": "#/components/parameters/limit"}, {"$ref": "#/components/parameters/offset"},
             {"$ref": "#/components/parameters/fuzzymatching"}, {"$ref": "#/components/parameters/acceptSearch"}
            ],
            "responses": {
             "401": {"$ref": "#/components/responses/Unauthorized"},
             "403": {"$ref": "#/components/responses/Forbidden"},
             "429": {"$ref": "#/components/responses/TooMany"},
             "200": {"$ref": "#/components/responses/Matches"}, "204": {"$ref": "#/components/responses/NoMatch"},
             "400": {"$ref": "#/components/responses/BadRequest"},
             "406": {"$ref": "#/components/responses/NotAcceptable"},
             "413": {"$ref": "#/components/responses/TooLarge"},
             "414": {"$ref": "#/components/responses/AddressTooLong"},
             "503": {"$ref": "#/components/responses/Unavailable"}
            }
           }
          },
          "/dicom-web/instances": {
           "get": {
            "operationId": "searchInstances",
            "tags": ["Search"],
            "summary": "Instances of all studies",
            "description": "Any attribute may be matched: by keyword (`PatientID=1`), by tag (`00100020=1`), or \#
        within a sequence by a path with dots. Only the usual ones are listed here.",
            "parameters": [
             {"$ref": "#/components/parameters/PatientName"}, {"$ref": "#/components/parameters/PatientID"},
             {"$ref": "#/components/parameters/StudyDate"}, {"$ref": "#/components/parameters/StudyTime"},
             {"$ref": "#/components/parameters/AccessionNumber"},
             {"$ref": "#/components/parameters/ModalitiesInStudy"},
             {"$ref": "#/components/parameters/ReferringPhysicianName"},
             {"$ref": "#/components/parameters/StudyDescription"},
             {"$ref": "#/components/parameters/StudyInstanceUID"}, {"$ref": "#/components/parameters/Modality"},
             {"$ref": "#/components/parameters/SeriesInstanceUID"}, {"$ref": "#/components/parameters/SeriesNumber"},
             {"$ref": "#/components/parameters/SeriesDescription"}, {"$ref": "#/components/parameters/SOPClassUID"},
             {"$ref": "#/components/parameters/SOPInstanceUID"}, {"$ref": "#/components/parameters/InstanceNumber"},
             {"$ref": "#/components/parameters/includefield"}, {"$ref": "#/components/parameters/limit"},
             {"$ref": "#/components/parameters/offset"}, {"$ref": "#/components/parameters/fuzzymatching"},
             {"$ref": "#/components/parameters/acceptSearch"}
            ],
            "responses": {
             "401": {"$ref": "#/components/responses/Unauthorized"},
             "403": {"$ref": "#/components/responses/Forbidden"},
             "429": {"$ref": "#/components/responses/TooMany"},
             "200": {"$ref": "#/components/responses/Matches"}, "204": {"$ref": "#/components/responses/NoMatch"},
             "400": {"$ref": "#/components/responses/BadRequest"},
             "406": {"$ref": "#/components/responses/NotAcceptable"},
             "413": {"$ref": "#/components/responses/TooLarge"},
             "414": {"$ref": "#/components/responses/AddressTooLong"},
             "503": {"$ref": "#/components/responses/Unavailable"}
            }
           }
          },
          "/dicom-web/studies/{study}/series": {
           "get": {
            "operationId": "searchSeriesOfStudy",
            "tags": ["Search"],
            "summary": "Series of a study",
            "description": "Any attribute may be matched: by keyword (`PatientID=1`), by tag (`00100020=1`), or \#
        within a sequence by a path with dots. Only the usual ones are listed here.",
            "parameters": [
             {"$ref": "#/components/parameters/study"}, {"$ref": "#/components/parameters/Modality"},
             {"$ref": "#/components/parameters/SeriesInstanceUID"}, {"$ref": "#/components/parameters/SeriesNumber"},
             {"$ref": "#/components/parameters/SeriesDescription"}, {"$ref": "#/components/parameters/includefield"},
             {"$ref": "#/components/parameters/limit"}, {"$ref": "#/components/parameters/offset"},
             {"$ref": "#/components/parameters/fuzzymatching"}, {"$ref": "#/components/parameters/acceptSearch"}
            ],
            "responses": {
             "401": {"$ref": "#/components/responses/Unauthorized"},
             "403": {"$ref": "#/components/responses/Forbidden"},
             "429": {"$ref": "#/components/responses/TooMany"},
             "200": {"$ref": "#/components/responses/Matches"}, "204": {"$ref": "#/components/responses/NoMatch"},
             "400": {"$ref": "#/components/responses/BadRequest"}, "404": {"$ref": "#/components/responses/NotFound"},
             "406": {"$ref": "#/components/responses/NotAcceptable"},
             "413": {"$ref": "#/components/responses/TooLarge"},
             "414": {"$ref": "#/components/responses/AddressTooLong"},
             "503": {"$ref": "#/components/responses/Unavailable"}
            }
           }
          },
          "/dicom-web/studies/{study}/instances": {
           "get": {
            "operationId": "searchInstancesOfStudy",
            "tags": ["Search"],
            "summary": "Instances of a study",
            "description": "Any attribute may be matched: by keyword (`PatientID=1`), by tag (`00100020=1`), or \#
        within a sequence by a path with dots. Only the usual ones are listed here.",
            "parameters": [
             {"$ref": "#/components/parameters/study"}, {"$ref": "#/components/parameters/Modality"},
             {"$ref": "#/components/parameters/SeriesInstanceUID"}, {"$ref": "#/components/parameters/SeriesNumber"},
             {"$ref": "#/components/parameters/SeriesDescription"}, {"$ref": "#/components/parameters/SOPClassUID"},
             {"$ref": "#/components/parameters/SOPInstanceUID"}, {"$ref": "#/components/parameters/InstanceNumber"},
             {"$ref": "#/components/parameters/includefield"}, {"$ref": "#/components/parameters/limit"},
             {"$ref": "#/components/parameters/offset"}, {"$ref": "#/components/parameters/fuzzymatching"},
             {"$ref": "#/components/parameters/acceptSearch"}
            ],
            "responses": {
             "401": {"$ref": "#/components/responses/Unauthorized"},
             "403": {"$ref": "#/components/responses/Forbidden"},
             "429": {"$ref": "#/components/responses/TooMany"},
             "200": {"$ref": "#/components/responses/Matches"}, "204": {"$ref": "#/components/responses/NoMatch"},
             "400": {"$ref": "#/components/responses/BadRequest"}, "404": {"$ref": "#/components/responses/NotFound"},
             "406": {"$ref": "#/components/responses/NotAcceptable"},
             "413": {"$ref": "#/components/responses/TooLarge"},
             "414": {"$ref": "#/components/responses/AddressTooLong"},
             "503": {"$ref": "#/components/responses/Unavailable"}
            }
           }
          },
          "/dicom-web/studies/{study}/series/{series}/instances": {
           "get": {
            "operationId": "searchInstancesOfSeries",
            "tags": ["Search"],
            "summary": "Instances of a series",
            "description": "Any attribute may be matched: by keyword (`PatientID=1`), by tag (`00100020=1`), or \#
        within a sequence by a path with dots. Only the usual ones are listed here.",
            "parameters": [
             {"$ref": "#/components/parameters/study"}, {"$ref": "#/components/parameters/series"},
             {"$ref": "#/components/parameters/SOPClassUID"}, {"$ref": "#/components/parameters/SOPInstanceUID"},
             {"$ref": "#/components/parameters/InstanceNumber"}, {"$ref": "#/components/parameters/includefield"},
             {"$ref": "#/components/parameters/limit"}, {"$ref": "#/components/parameters/offset"},
             {"$ref": "#/components/parameters/fuzzymatching"}, {"$ref": "#/components/parameters/acceptSearch"}
            ],
            "responses": {
             "401": {"$ref": "#/components/responses/Unauthorized"},
             "403": {"$ref": "#/components/responses/Forbidden"},
             "429": {"$ref": "#/components/responses/TooMany"},
             "200": {"$ref": "#/components/responses/Matches"}, "204": {"$ref": "#/components/responses/NoMatch"},
             "400": {"$ref": "#/components/responses/BadRequest"}, "404": {"$ref": "#/components/responses/NotFound"},
             "406": {"$ref": "#/components/responses/NotAcceptable"},
             "413": {"$ref": "#/components/responses/TooLarge"},
             "414": {"$ref": "#/components/responses/AddressTooLong"},
             "503": {"$ref": "#/components/responses/Unavailable"}
            }
           }
          },
          "/dicom-web/series/{series}/instances": {
           "get": {
            "operationId": "searchInstancesOfSeriesAlone",
            "tags": ["Search"],
            "summary": "Instances of a series, without its study",
            "description": "Any attribute may be matched: by keyword (`PatientID=1`), by tag (`00100020=1`), or \#
        within a sequence by a path with dots. Only the usual ones are listed here.",
            "parameters": [
             {"$ref": "#/components/parameters/series"}, {"$ref": "#/components/parameters/SOPClassUID"},
             {"$ref": "#/components/parameters/SOPInstanceUID"}, {"$ref": "#/components/parameters/InstanceNumber"},
             {"$ref": "#/components/parameters/includefield"}, {"$ref": "#/components/parameters/limit"},
             {"$ref": "#/components/parameters/offset"}, {"$ref": "#/components/parameters/fuzzymatching"},
             {"$ref": "#/components/parameters/acceptSearch"}
            ],
            "responses": {
             "401": {"$ref": "#/components/responses/Unauthorized"},
             "403": {"$ref": "#/components/responses/Forbidden"},
             "429": {"$ref": "#/components/responses/TooMany"},
             "200": {"$ref": "#/components/responses/Matches"}, "204": {"$ref": "#/components/responses/NoMatch"},
             "400": {"$ref": "#/components/responses/BadRequest"}, "404": {"$ref": "#/components/responses/NotFound"},
             "406": {"$ref": "#/components/responses/NotAcceptable"},
             "413": {"$ref": "#/components/responses/TooLarge"},
             "414": {"$ref": "#/components/responses/AddressTooLong"},
             "503": {"$ref": "#/components/responses/Unavailable"}
            }
           }
          },
          "/dicom-web/studies/{study}": {
           "get": {
            "operationId": "retrieveStudy",
            "tags": ["Retrieve"],
            "summary": "A study",
            "description": "Accept's `transfer-syntax` parameter asks for a syntax; `*` is as stored, and so is its \#
        absence for a ZIP.",
            "parameters": [
             {"$ref": "#/components/parameters/study"}, {"$ref": "#/components/parameters/acceptRetrieve"}
            ],
            "responses": {
             "401": {"$ref": "#/components/responses/Unauthorized"},
             "403": {"$ref": "#/components/responses/Forbidden"},
             "429": {"$ref": "#/components/responses/TooMany"},
             "200": {"$ref": "#/components/responses/Files"}, "400": {"$ref": "#/components/responses/BadRequest"},
             "404": {"$ref": "#/components/responses/NotFound"},
             "406": {"$ref": "#/components/responses/NotAcceptable"},
             "414": {"$ref": "#/components/responses/AddressTooLong"},
             "422": {"$ref": "#/components/responses/Undecodable"},
             "501": {"$ref": "#/components/responses/NotImplemented"},
             "503": {"$ref": "#/components/responses/Unavailable"}
            }
           },
           "post": {
            "operationId": "storeToStudy",
            "tags": ["Store"],
            "summary": "Stores instances of one study; others are refused",
            "description": "Part 10 files, each a part; or attributes as DICOM JSON, with their bulk data in further \#
        parts.",
            "parameters": [{"$ref": "#/components/parameters/study"}, {"$ref": "#/components/parameters/acceptStore"}],
            "requestBody": {"$ref": "#/components/requestBodies/Instances"},
            "responses": {
             "401": {"$ref": "#/components/responses/Unauthorized"},
             "403": {"$ref": "#/components/responses/Forbidden"},
             "429": {"$ref": "#/components/responses/TooMany"},
             "200": {"$ref": "#/components/responses/StoredAll"}, "202": {"$ref": "#/components/responses/StoredSome"},
             "409": {"$ref": "#/components/responses/StoredNone"},
             "400": {"$ref": "#/components/responses/BadRequest"}, "404": {"$ref": "#/components/responses/NotFound"},
             "406": {"$ref": "#/components/responses/NotAcceptable"},
             "413": {"$ref": "#/components/responses/TooLarge"},
             "414": {"$ref": "#/components/responses/AddressTooLong"},
             "415": {"$ref": "#/components/responses/UnsupportedMediaType"},
             "503": {"$ref": "#/components/responses/Unavailable"}, "507": {"$ref": "#/components/responses/NoSpace"}
            }
           },
           "delete": {
            "operationId": "deleteStudy",
            "tags": ["Delete"],
            "summary": "Deletes a study, where the configuration allows it",
            "parameters": [{"$ref": "#/components/parameters/study"}],
            "responses": {
             "401": {"$ref": "#/components/responses/Unauthorized"},
             "429": {"$ref": "#/components/responses/TooMany"},
             "204": {"description": "Deleted"},
             "400": {"$ref": "#/components/responses/BadRequest"}, "403": {"$ref": "#/components/responses/Forbidden"},
             "404": {"$ref": "#/components/responses/NotFound"},
             "414": {"$ref": "#/components/responses/AddressTooLong"},
             "409": {"$ref": "#/components/responses/Retained"},
             "503": {"$ref": "#/components/responses/Unavailable"}
            }
           }
          },
          "/dicom-web/studies/{study}/metadata": {
           "get": {
            "operationId": "retrieveStudyMetadata",
            "tags": ["Retrieve"],
            "summary": "The attributes of all instances of a study",
            "parameters": [
             {"$ref": "#/components/parameters/study"}, {"$ref": "#/components/parameters/acceptMetadata"},
             {"$ref": "#/components/parameters/ifNoneMatch"}
            ],
            "responses": {
             "401": {"$ref": "#/components/responses/Unauthorized"},
             "403": {"$ref": "#/components/responses/Forbidden"},
             "429": {"$ref": "#/components/responses/TooMany"},
             "200": {"$ref": "#/components/responses/Metadata"}, "304": {"$ref": "#/components/responses/NotModified"},
             "400": {"$ref": "#/components/responses/BadRequest"}, "404": {"$ref": "#/components/responses/NotFound"},
             "406": {"$ref": "#/components/responses/NotAcceptable"},
             "414": {"$ref": "#/components/responses/AddressTooLong"},
             "503": {"$ref": "#/components/responses/Unavailable"}
            }
           }
          },
          "/dicom-web/studies/{study}/series/{series}": {
           "get": {
            "operationId": "retrieveSeries",
            "tags": ["Retrieve"],
            "summary": "A series",
            "description": "Accept's `transfer-syntax` parameter asks for a syntax; `*` is as stored, and so is its \#
        absence for a ZIP.",
            "parameters": [
             {"$ref": "#/components/parameters/study"}, {"$ref": "#/components/parameters/series"},
             {"$ref": "#/components/parameters/acceptRetrieve"}
            ],
            "responses": {
             "401": {"$ref": "#/components/responses/Unauthorized"},
             "403": {"$ref": "#/components/responses/Forbidden"},
             "429": {"$ref": "#/components/responses/TooMany"},
             "200": {"$ref": "#/components/responses/Files"}, "400": {"$ref": "#/components/responses/BadRequest"},
             "404": {"$ref": "#/components/responses/NotFound"},
             "406": {"$ref": "#/components/responses/NotAcceptable"},
             "414": {"$ref": "#/components/responses/AddressTooLong"},
             "422": {"$ref": "#/components/responses/Undecodable"},
             "501": {"$ref": "#/components/responses/NotImplemented"},
             "503": {"$ref": "#/components/responses/Unavailable"}
            }
           },
           "delete": {
            "operationId": "deleteSeries",
            "tags": ["Delete"],
            "summary": "Deletes a series, where the configuration allows it",
            "parameters": [{"$ref": "#/components/parameters/study"}, {"$ref": "#/components/parameters/series"}],
            "responses": {
             "401": {"$ref": "#/components/responses/Unauthorized"},
             "429": {"$ref": "#/components/responses/TooMany"},
             "204": {"description": "Deleted"},
             "400": {"$ref": "#/components/responses/BadRequest"}, "403": {"$ref": "#/components/responses/Forbidden"},
             "404": {"$ref": "#/components/responses/NotFound"},
             "414": {"$ref": "#/components/responses/AddressTooLong"},
             "409": {"$ref": "#/components/responses/Retained"},
             "503": {"$ref": "#/components/responses/Unavailable"}
            }
           }
          },
          "/dicom-web/studies/{study}/series/{series}/metadata": {
           "get": {
            "operationId": "retrieveSeriesMetadata",
            "tags": ["Retrieve"],
            "summary": "The attributes of all instances of a series",
            "parameters": [
             {"$ref": "#/components/parameters/study"}, {"$ref": "#/components/parameters/series"},
             {"$ref": "#/components/parameters/acceptMetadata"}, {"$ref": "#/components/parameters/ifNoneMatch"}
            ],
            "responses": {
             "401": {"$ref": "#/components/responses/Unauthorized"},
             "403": {"$ref": "#/components/responses/Forbidden"},
             "429": {"$ref": "#/components/responses/TooMany"},
             "200": {"$ref": "#/components/responses/Metadata"}, "304": {"$ref": "#/components/responses/NotModified"},
             "400": {"$ref": "#/components/responses/BadRequest"}, "404": {"$ref": "#/components/responses/NotFound"},
             "406": {"$ref": "#/components/responses/NotAcceptable"},
             "414": {"$ref": "#/components/responses/AddressTooLong"},
             "503": {"$ref": "#/components/responses/Unavailable"}
            }
           }
          },
          "/dicom-web/studies/{study}/series/{series}/instances/{instance}": {
           "get": {
            "operationId": "retrieveInstance",
            "tags": ["Retrieve"],
            "summary": "An instance",
            "description": "Accept's `transfer-syntax` parameter asks for a syntax; `*` is as stored, and so is its \#
        absence for a ZIP.",
            "parameters": [
             {"$ref": "#/components/parameters/study"}, {"$ref": "#/components/parameters/series"},
             {"$ref": "#/components/parameters/instance"}, {"$ref": "#/components/parameters/acceptRetrieve"},
             {"$ref": "#/components/parameters/range"}
            ],
            "responses": {
             "401": {"$ref": "#/components/responses/Unauthorized"},
             "403": {"$ref": "#/components/responses/Forbidden"},
             "429": {"$ref": "#/components/responses/TooMany"},
             "200": {
              "description": "The Part 10 file, alone or as the only part, or a ZIP",
              "headers": {"Accept-Ranges": {"$ref": "#/components/headers/AcceptRanges"}},
              "content": {
               "multipart/related; type=\"application/dicom\"": {"schema": {"type": "string", "format": "binary"}},
               "application/dicom": {"schema": {"type": "string", "format": "binary"}},
               "application/zip": {"schema": {"type": "string", "format": "binary"}}
              }
             },
             "206": {
              "description": "The asked range of the file",
              "headers": {"Content-Range": {"$ref": "#/components/headers/ContentRange"}},
              "content": {"application/dicom": {"schema": {"type": "string", "format": "binary"}}}
             },
             "400": {"$ref": "#/components/responses/BadRequest"}, "404": {"$ref": "#/components/responses/NotFound"},
             "406": {"$ref": "#/components/responses/NotAcceptable"},
             "414": {"$ref": "#/components/responses/AddressTooLong"},
             "416": {"$ref": "#/components/responses/RangeNotSatisfiable"},
             "422": {"$ref": "#/components/responses/Undecodable"},
             "501": {"$ref": "#/components/responses/NotImplemented"},
             "503": {"$ref": "#/components/responses/Unavailable"}
            }
           },
           "delete": {
            "operationId": "deleteInstance",
            "tags": ["Delete"],
            "summary": "Deletes an instance, where the configuration allows it",
            "parameters": [
             {"$ref": "#/components/parameters/study"}, {"$ref": "#/components/parameters/series"},
             {"$ref": "#/components/parameters/instance"}
            ],
            "responses": {
             "401": {"$ref": "#/components/responses/Unauthorized"},
             "429": {"$ref": "#/components/responses/TooMany"},
             "204": {"description": "Deleted"},
             "400": {"$ref": "#/components/responses/BadRequest"}, "403": {"$ref": "#/components/responses/Forbidden"},
             "404": {"$ref": "#/components/responses/NotFound"},
             "414": {"$ref": "#/components/responses/AddressTooLong"},
             "409": {"$ref": "#/components/responses/Retained"},
             "503": {"$ref": "#/components/responses/Unavailable"}
            }
           }
          },
          "/dicom-web/studies/{study}/series/{series}/instances/{instance}/metadata": {
           "get": {
            "operationId": "retrieveInstanceMetadata",
            "tags": ["Retrieve"],
            "summary": "The attributes of an instance",
            "parameters": [
             {"$ref": "#/components/parameters/study"}, {"$ref": "#/components/parameters/series"},
             {"$ref": "#/components/parameters/instance"}, {"$ref": "#/components/parameters/acceptMetadata"},
             {"$ref": "#/components/parameters/ifNoneMatch"}
            ],
            "responses": {
             "401": {"$ref": "#/components/responses/Unauthorized"},
             "403": {"$ref": "#/components/responses/Forbidden"},
             "429": {"$ref": "#/components/responses/TooMany"},
             "200": {"$ref": "#/components/responses/Metadata"}, "304": {"$ref": "#/components/responses/NotModified"},
             "400": {"$ref": "#/components/responses/BadRequest"}, "404": {"$ref": "#/components/responses/NotFound"},
             "406": {"$ref": "#/components/responses/NotAcceptable"},
             "414": {"$ref": "#/components/responses/AddressTooLong"},
             "503": {"$ref": "#/components/responses/Unavailable"}
            }
           }
          },
          "/dicom-web/studies/{study}/series/{series}/instances/{instance}/bulkdata/{path}": {
           "get": {
            "operationId": "retrieveBulkdata",
            "tags": ["Retrieve"],
            "summary": "A large value",
            "parameters": [
             {"$ref": "#/components/parameters/study"}, {"$ref": "#/components/parameters/series"},
             {"$ref": "#/components/parameters/instance"}, {"$ref": "#/components/parameters/bulkdataPath"},
             {"$ref": "#/components/parameters/acceptBulkdata"}, {"$ref": "#/components/parameters/range"}
            ],
            "responses": {
             "401": {"$ref": "#/components/responses/Unauthorized"},
             "403": {"$ref": "#/components/responses/Forbidden"},
             "429": {"$ref": "#/components/responses/TooMany"},
             "200": {
              "description": "The value",
              "headers": {"Accept-Ranges": {"$ref": "#/components/headers/AcceptRanges"}},
              "content": {
               "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
               "multipart/related; type=\"application/octet-stream\"": {
                "schema": {"type": "string", "format": "binary"}
               }
              }
             },
             "206": {
              "description": "The asked range of the value",
              "headers": {"Content-Range": {"$ref": "#/components/headers/ContentRange"}},
              "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
             },
             "400": {"$ref": "#/components/responses/BadRequest"}, "404": {"$ref": "#/components/responses/NotFound"},
             "406": {"$ref": "#/components/responses/NotAcceptable"},
             "414": {"$ref": "#/components/responses/AddressTooLong"},
             "416": {"$ref": "#/components/responses/RangeNotSatisfiable"},
             "501": {"$ref": "#/components/responses/NotImplemented"},
             "503": {"$ref": "#/components/responses/Unavailable"}
            }
           }
          },
          "/dicom-web/studies/{study}/series/{series}/instances/{instance}/frames/{frames}": {
           "get": {
            "operationId": "retrieveFrames",
            "tags": ["Retrieve"],
            "summary": "Frames, as stored or decoded",
            "parameters": [
             {"$ref": "#/components/parameters/study"}, {"$ref": "#/components/parameters/series"},
             {"$ref": "#/components/parameters/instance"}, {"$ref": "#/components/parameters/frames"},
             {"$ref": "#/components/parameters/acceptFrames"}, {"$ref": "#/components/parameters/range"}
            ],
            "responses": {
             "401": {"$ref": "#/components/responses/Unauthorized"},
             "403": {"$ref": "#/components/responses/Forbidden"},
             "429": {"$ref": "#/components/responses/TooMany"},
             "200": {
              "description": "The frames in the asked order; one alone when Accept names no multipart",
              "headers": {"Accept-Ranges": {"$ref": "#/components/headers/AcceptRanges"}},
              "content": {
               "multipart/related; type=\"application/octet-stream\"": {
                "schema": {"type": "string", "format": "binary"}
               },
               "multipart/related; type=\"image/jpeg\"": {"schema": {"type": "string", "format": "binary"}},
               "multipart/related; type=\"image/jls\"": {"schema": {"type": "string", "format": "binary"}},
               "multipart/related; type=\"image/jp2\"": {"schema": {"type": "string", "format": "binary"}},
               "multipart/related; type=\"image/jphc\"": {"schema": {"type": "string", "format": "binary"}},
               "multipart/related; type=\"image/dicom-rle\"": {"schema": {"type": "string", "format": "binary"}},
               "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
               "image/jpeg": {"schema": {"type": "string", "format": "binary"}},
               "image/jls": {"schema": {"type": "string", "format": "binary"}},
               "image/jp2": {"schema": {"type": "string", "format": "binary"}},
               "image/jphc": {"schema": {"type": "string", "format": "binary"}},
               "image/dicom-rle": {"schema": {"type": "string", "format": "binary"}}
              }
             },
             "206": {
              "description": "The asked range of a single frame",
              "headers": {"Content-Range": {"$ref": "#/components/headers/ContentRange"}},
              "content": {
               "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
               "image/jpeg": {"schema": {"type": "string", "format": "binary"}},
               "image/jls": {"schema": {"type": "string", "format": "binary"}},
               "image/jp2": {"schema": {"type": "string", "format": "binary"}},
               "image/jphc": {"schema": {"type": "string", "format": "binary"}},
               "image/dicom-rle": {"schema": {"type": "string", "format": "binary"}}
              }
             },
             "400": {"$ref": "#/components/responses/BadRequest"}, "404": {"$ref": "#/components/responses/NotFound"},
             "406": {"$ref": "#/components/responses/NotAcceptable"},
             "413": {"$ref": "#/components/responses/TooLarge"},
             "414": {"$ref": "#/components/responses/AddressTooLong"},
             "416": {"$ref": "#/components/responses/RangeNotSatisfiable"},
             "422": {"$ref": "#/components/responses/Undecodable"},
             "501": {"$ref": "#/components/responses/NotImplemented"},
             "503": {"$ref": "#/components/responses/Unavailable"}
            }
           }
          },
          "/dicom-web/studies/{study}/rendered": {
           "get": {
            "operationId": "renderStudy",
            "tags": ["Rendered"],
            "summary": "Pictures of a study",
            "parameters": [
             {"$ref": "#/components/parameters/study"}, {"$ref": "#/components/parameters/window"},
             {"$ref": "#/components/parameters/viewport"}, {"$ref": "#/components/parameters/quality"},
             {"$ref": "#/components/parameters/annotation"}, {"$ref": "#/components/parameters/acceptRendered"}
            ],
            "responses": {
             "401": {"$ref": "#/components/responses/Unauthorized"},
             "403": {"$ref": "#/components/responses/Forbidden"},
             "429": {"$ref": "#/components/responses/TooMany"},
             "200": {"$ref": "#/components/responses/Picture"}, "400": {"$ref": "#/components/responses/BadRequest"},
             "404": {"$ref": "#/components/responses/NotFound"},
             "406": {"$ref": "#/components/responses/NotAcceptable"},
             "413": {"$ref": "#/components/responses/TooLarge"},
             "414": {"$ref": "#/components/responses/AddressTooLong"},
             "422": {"$ref": "#/components/responses/Undecodable"},
             "501": {"$ref": "#/components/responses/NotImplemented"},
             "503": {"$ref": "#/components/responses/Unavailable"}
            }
           }
          },
          "/dicom-web/studies/{study}/series/{series}/rendered": {
           "get": {
            "operationId": "renderSeries",
            "tags": ["Rendered"],
            "summary": "Pictures of a series",
            "parameters": [
             {"$ref": "#/components/parameters/study"}, {"$ref": "#/components/parameters/series"},
             {"$ref": "#/components/parameters/window"}, {"$ref": "#/components/parameters/viewport"},
             {"$ref": "#/components/parameters/quality"}, {"$ref": "#/components/parameters/annotation"},
             {"$ref": "#/components/parameters/acceptRendered"}
            ],
            "responses": {
             "401": {"$ref": "#/components/responses/Unauthorized"},
             "403": {"$ref": "#/components/responses/Forbidden"},
             "429": {"$ref": "#/components/responses/TooMany"},
             "200": {"$ref": "#/components/responses/Picture"}, "400": {"$ref": "#/components/responses/BadRequest"},
             "404": {"$ref": "#/components/responses/NotFound"},
             "406": {"$ref": "#/components/responses/NotAcceptable"},
             "413": {"$ref": "#/components/responses/TooLarge"},
             "414": {"$ref": "#/components/responses/AddressTooLong"},
             "422": {"$ref": "#/components/responses/Undecodable"},
             "501": {"$ref": "#/components/responses/NotImplemented"},
             "503": {"$ref": "#/components/responses/Unavailable"}
            }
           }
          },
          "/dicom-web/studies/{study}/series/{series}/instances/{instance}/rendered": {
           "get": {
            "operationId": "renderInstance",
            "tags": ["Rendered"],
            "summary": "Pictures of an instance",
            "parameters": [
             {"$ref": "#/components/parameters/study"}, {"$ref": "#/components/parameters/series"},
             {"$ref": "#/components/parameters/instance"}, {"$ref": "#/components/parameters/window"},
             {"$ref": "#/components/parameters/viewport"}, {"$ref": "#/components/parameters/quality"},
             {"$ref": "#/components/parameters/annotation"}, {"$ref": "#/components/parameters/acceptRendered"}
            ],
            "responses": {
             "401": {"$ref": "#/components/responses/Unauthorized"},
             "403": {"$ref": "#/components/responses/Forbidden"},
             "429": {"$ref": "#/components/responses/TooMany"},
             "200": {"$ref": "#/components/responses/Picture"}, "400": {"$ref": "#/components/responses/BadRequest"},
             "404": {"$ref": "#/components/responses/NotFound"},
             "406": {"$ref": "#/components/responses/NotAcceptable"},
             "413": {"$ref": "#/components/responses/TooLarge"},
             "414": {"$ref": "#/components/responses/AddressTooLong"},
             "422": {"$ref": "#/components/responses/Undecodable"},
             "501": {"$ref": "#/components/responses/NotImplemented"},
             "503": {"$ref": "#/components/responses/Unavailable"}
            }
           }
          },
          "/dicom-web/studies/{study}/series/{series}/instances/{instance}/frames/{frames}/rendered": {
           "get": {
            "operationId": "renderFrames",
            "tags": ["Rendered"],
            "summary": "Pictures of frames",
            "parameters": [
             {"$ref": "#/components/parameters/study"}, {"$ref": "#/components/parameters/series"},
             {"$ref": "#/components/parameters/instance"}, {"$ref": "#/components/parameters/frames"},
             {"$ref": "#/components/parameters/window"}, {"$ref": "#/components/parameters/viewport"},
             {"$ref": "#/components/parameters/quality"}, {"$ref": "#/components/parameters/annotation"},
             {"$ref": "#/components/parameters/acceptRendered"}
            ],
            "responses": {
             "401": {"$ref": "#/components/responses/Unauthorized"},
             "403": {"$ref": "#/components/responses/Forbidden"},
             "429": {"$ref": "#/components/responses/TooMany"},
             "200": {"$ref": "#/components/responses/Picture"}, "400": {"$ref": "#/components/responses/BadRequest"},
             "404": {"$ref": "#/components/responses/NotFound"},
             "406": {"$ref": "#/components/responses/NotAcceptable"},
             "413": {"$ref": "#/components/responses/TooLarge"},
             "414": {"$ref": "#/components/responses/AddressTooLong"},
             "422": {"$ref": "#/components/responses/Undecodable"},
             "501": {"$ref": "#/components/responses/NotImplemented"},
             "503": {"$ref": "#/components/responses/Unavailable"}
            }
           }
          },
          "/dicom-web/studies/{study}/thumbnail": {
           "get": {
            "operationId": "thumbnailOfStudy",
            "tags": ["Rendered"],
            "summary": "A small picture that stands for a study",
            "parameters": [
             {"$ref": "#/components/parameters/study"}, {"$ref": "#/components/parameters/viewport"},
             {"$ref": "#/components/parameters/acceptThumbnail"}
            ],
            "responses": {
             "401": {"$ref": "#/components/responses/Unauthorized"},
             "403": {"$ref": "#/components/responses/Forbidden"},
             "429": {"$ref": "#/components/responses/TooMany"},
             "200": {"$ref": "#/components/responses/Thumbnail"}, "400": {"$ref": "#/components/responses/BadRequest"},
             "404": {"$ref": "#/components/responses/NotFound"},
             "406": {"$ref": "#/components/responses/NotAcceptable"},
             "413": {"$ref": "#/components/responses/TooLarge"},
             "414": {"$ref": "#/components/responses/AddressTooLong"},
             "422": {"$ref": "#/components/responses/Undecodable"},
             "501": {"$ref": "#/components/responses/NotImplemented"},
             "503": {"$ref": "#/components/responses/Unavailable"}
            }
           }
          },
          "/dicom-web/studies/{study}/series/{series}/thumbnail": {
           "get": {
            "operationId": "thumbnailOfSeries",
            "tags": ["Rendered"],
            "summary": "A small picture that stands for a series",
            "parameters": [
             {"$ref": "#/components/parameters/study"}, {"$ref": "#/components/parameters/series"},
             {"$ref": "#/components/parameters/viewport"}, {"$ref": "#/components/parameters/acceptThumbnail"}
            ],
            "responses": {
             "401": {"$ref": "#/components/responses/Unauthorized"},
             "403": {"$ref": "#/components/responses/Forbidden"},
             "429": {"$ref": "#/components/responses/TooMany"},
             "200": {"$ref": "#/components/responses/Thumbnail"}, "400": {"$ref": "#/components/responses/BadRequest"},
             "404": {"$ref": "#/components/responses/NotFound"},
             "406": {"$ref": "#/components/responses/NotAcceptable"},
             "413": {"$ref": "#/components/responses/TooLarge"},
             "414": {"$ref": "#/components/responses/AddressTooLong"},
             "422": {"$ref": "#/components/responses/Undecodable"},
             "501": {"$ref": "#/components/responses/NotImplemented"},
             "503": {"$ref": "#/components/responses/Unavailable"}
            }
           }
          },
          "/dicom-web/studies/{study}/series/{series}/instances/{instance}/thumbnail": {
           "get": {
            "operationId": "thumbnailOfInstance",
            "tags": ["Rendered"],
            "summary": "A small picture that stands for an instance",
            "parameters": [
             {"$ref": "#/components/parameters/study"}, {"$ref": "#/components/parameters/series"},
             {"$ref": "#/components/parameters/instance"}, {"$ref": "#/components/parameters/viewport"},
             {"$ref": "#/components/parameters/acceptThumbnail"}
            ],
            "responses": {
             "401": {"$ref": "#/components/responses/Unauthorized"},
             "403": {"$ref": "#/components/responses/Forbidden"},
             "429": {"$ref": "#/components/responses/TooMany"},
             "200": {"$ref": "#/components/responses/Thumbnail"}, "400": {"$ref": "#/components/responses/BadRequest"},
             "404": {"$ref": "#/components/responses/NotFound"},
             "406": {"$ref": "#/components/responses/NotAcceptable"},
             "413": {"$ref": "#/components/responses/TooLarge"},
             "414": {"$ref": "#/components/responses/AddressTooLong"},
             "422": {"$ref": "#/components/responses/Undecodable"},
             "501": {"$ref": "#/components/responses/NotImplemented"},
             "503": {"$ref": "#/components/responses/Unavailable"}
            }
           }
          },
          "/dicom-web/uploads/check": {
           "post": {
            "operationId": "checkUploads",
            "tags": ["Store"],
            "summary": "Which files of an interrupted upload are stored already",
            "requestBody": {
             "required": true,
             "content": {"application/json": {"schema": {"$ref": "#/components/schemas/UploadQuestion"}}}
            },
            "responses": {
             "401": {"$ref": "#/components/responses/Unauthorized"},
             "403": {"$ref": "#/components/responses/Forbidden"},
             "429": {"$ref": "#/components/responses/TooMany"},
             "200": {
              "description": "The state of each, in the order asked",
              "content": {"application/json": {"schema": {"$ref": "#/components/schemas/UploadAnswer"}}}
             },
             "400": {"$ref": "#/components/responses/BadRequest"}, "413": {"$ref": "#/components/responses/TooLarge"},
             "414": {"$ref": "#/components/responses/AddressTooLong"},
             "415": {"$ref": "#/components/responses/UnsupportedMediaType"},
             "503": {"$ref": "#/components/responses/Unavailable"}
            }
           }
          },
          "/shares": {
           "get": {
            "operationId": "shares",
            "tags": ["Sharing"],
            "summary": "Studies that are shown to other organisations now, or to one's own",
            "responses": {
             "200": {
              "description": "Those in force",
              "content": {
               "application/json": {"schema": {"type": "array", "items": {"$ref": "#/components/schemas/Share"}}}
              }
             },
             "400": {"$ref": "#/components/responses/BadRequest"}, "403": {"$ref": "#/components/responses/Forbidden"},
             "414": {"$ref": "#/components/responses/AddressTooLong"},
             "503": {"$ref": "#/components/responses/Unavailable"}
            }
           },
           "post": {
            "operationId": "share",
            "tags": ["Sharing"],
            "summary": "Show what one's own organisation sent into a study to another one for a time",
            "requestBody": {
             "required": true,
             "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ShareWanted"}}}
            },
            "responses": {
             "201": {
              "description": "In force",
              "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Share"}}}
             },
             "400": {"$ref": "#/components/responses/BadRequest"}, "403": {"$ref": "#/components/responses/Forbidden"},
             "404": {"$ref": "#/components/responses/NotFound"}, "409": {"$ref": "#/components/responses/Conflict"},
             "413": {"$ref": "#/components/responses/TooLarge"},
             "414": {"$ref": "#/components/responses/AddressTooLong"},
             "503": {"$ref": "#/components/responses/Unavailable"}
            }
           }
          },
          "/shares/{share}": {
           "delete": {
            "operationId": "unshare",
            "tags": ["Sharing"],
            "summary": "End a share before its time",
            "parameters": [
             {"name": "share", "in": "path", "required": true, "schema": {"type": "integer", "format": "int64"}}
            ],
            "responses": {
             "204": {"description": "Nobody sees anything by it any more"},
             "400": {"$ref": "#/components/responses/BadRequest"}, "403": {"$ref": "#/components/responses/Forbidden"},
             "404": {"$ref": "#/components/responses/NotFound"},
             "414": {"$ref": "#/components/responses/AddressTooLong"},
             "503": {"$ref": "#/components/responses/Unavailable"}
            }
           }
          },
          "/wado": {
           "get": {
            "operationId": "wadoURI",
            "tags": ["URI service"],
            "summary": "One object by query parameters (PS3.18 section 9)",
            "parameters": [
             {
              "name": "requestType",
              "in": "query",
              "description": "The service",
              "required": true,
              "schema": {"type": "string", "enum": ["WADO"]}
             },
             {
              "name": "studyUID",
              "in": "query",
              "description": "Study Instance UID",
              "required": true,
              "schema": {"$ref": "#/components/schemas/UID"}
             },
             {
              "name": "seriesUID",
              "in": "query",
              "description": "Series Instance UID",
              "required": true,
              "schema": {"$ref": "#/components/schemas/UID"}
             },
             {
              "name": "objectUID",
              "in": "query",
              "description": "SOP Instance UID",
              "required": true,
              "schema": {"$ref": "#/components/schemas/UID"}
             },
             {
              "name": "contentType",
              "in": "query",
              "description": "What is wanted; a picture by default where the object has one",
              "schema": {"type": "string", "enum": ["application/dicom", "image/jpeg", "image/png"]}
             },
             {
              "name": "transferSyntax",
              "in": "query",
              "description": "Of application/dicom; as stored by default",
              "schema": {"$ref": "#/components/schemas/UID"}
             },
             {
              "name": "frameNumber",
              "in": "query",
              "description": "Which frame, counted from 1",
              "schema": {"type": "integer", "minimum": 1, "maximum": 2147483647}
             },
             {
              "name": "rows",
              "in": "query",
              "description": "At most so high",
              "schema": {"type": "integer", "minimum": 1, "maximum": 16384}
             },
             {
              "name": "columns",
              "in": "query",
              "description": "At most so wide",
              "schema": {"type": "integer", "minimum": 1, "maximum": 16384}
             },
             {
              "name": "windowCenter",
              "in": "query",
              "description": "With windowWidth",
              "schema": {"type": "number", "minimum": -1000000000, "maximum": 1000000000}
             },
             {
              "name": "windowWidth",
              "in": "query",
              "description": "With windowCenter",
              "schema": {"type": "number", "minimum": 1, "maximum": 1000000000}
             },
             {
              "name": "imageQuality",
              "in": "query",
              "description": "Of a JPEG",
              "schema": {"type": "integer", "minimum": 1, "maximum": 100}
             },
             {
              "name": "region",
              "in": "query",
              "description": "Left, top, right and bottom as parts of 1",
              "schema": {
               "type": "string",
               "pattern": "^(0(\\.[0-9]{1,6})?|1),(0(\\.[0-9]{1,6})?|1),(0(\\.[0-9]{1,6})?|1),(0(\\.[0-9]{1,6})?|1)$"
              }
             }
            ],
            "responses": {
             "401": {"$ref": "#/components/responses/Unauthorized"},
             "403": {"$ref": "#/components/responses/Forbidden"},
             "429": {"$ref": "#/components/responses/TooMany"},
             "200": {
              "description": "The object or its picture",
              "content": {
               "application/dicom": {"schema": {"type": "string", "format": "binary"}},
               "image/jpeg": {"schema": {"type": "string", "format": "binary"}},
               "image/png": {"schema": {"type": "string", "format": "binary"}}
              }
             },
             "400": {"$ref": "#/components/responses/BadRequest"}, "404": {"$ref": "#/components/responses/NotFound"},
             "406": {"$ref": "#/components/responses/NotAcceptable"},
             "413": {"$ref": "#/components/responses/TooLarge"},
             "414": {"$ref": "#/components/responses/AddressTooLong"},
             "422": {"$ref": "#/components/responses/Undecodable"},
             "501": {"$ref": "#/components/responses/NotImplemented"},
             "503": {"$ref": "#/components/responses/Unavailable"}
            }
           }
          },
          "/dicom-web/": {
           "get": {
            "operationId": "capabilities",
            "tags": ["About"],
            "summary": "What the archive can do",
            "parameters": [{"$ref": "#/components/parameters/acceptCapabilities"}],
            "responses": {
             "401": {"$ref": "#/components/responses/Unauthorized"},
             "403": {"$ref": "#/components/responses/Forbidden"},
             "429": {"$ref": "#/components/responses/TooMany"},
             "200": {"$ref": "#/components/responses/Capabilities"},
             "400": {"$ref": "#/components/responses/BadRequest"},
             "406": {"$ref": "#/components/responses/NotAcceptable"},
             "414": {"$ref": "#/components/responses/AddressTooLong"},
             "503": {"$ref": "#/components/responses/Unavailable"}
            }
           },
           "options": {
            "operationId": "capabilitiesByOptions",
            "tags": ["About"],
            "summary": "What the archive can do",
            "parameters": [{"$ref": "#/components/parameters/acceptCapabilities"}],
            "responses": {
             "401": {"$ref": "#/components/responses/Unauthorized"},
             "403": {"$ref": "#/components/responses/Forbidden"},
             "429": {"$ref": "#/components/responses/TooMany"},
             "200": {"$ref": "#/components/responses/Capabilities"},
             "400": {"$ref": "#/components/responses/BadRequest"},
             "406": {"$ref": "#/components/responses/NotAcceptable"},
             "414": {"$ref": "#/components/responses/AddressTooLong"},
             "503": {"$ref": "#/components/responses/Unavailable"}
            }
           }
          },
          "/openapi.json": {
           "get": {
            "operationId": "openapi",
            "tags": ["About"],
            "summary": "This document",
            "parameters": [],
            "responses": {
             "401": {"$ref": "#/components/responses/Unauthorized"},
             "403": {"$ref": "#/components/responses/Forbidden"},
             "429": {"$ref": "#/components/responses/TooMany"},
             "200": {"description": "This document", "content": {"application/json": {"schema": {"type": "object"}}}},
             "400": {"$ref": "#/components/responses/BadRequest"},
             "503": {"$ref": "#/components/responses/Unavailable"}
            }
           }
          },
          "/whoami": {
           "get": {
            "operationId": "whoami",
            "tags": ["About"],
            "summary": "Who asks, and what he may",
            "parameters": [],
            "responses": {
             "200": {
              "description": "As the archive knows him",
              "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Identity"}}}
             },
             "400": {"$ref": "#/components/responses/BadRequest"},
             "401": {"$ref": "#/components/responses/Unauthorized"},
             "403": {"$ref": "#/components/responses/Forbidden"},
             "429": {"$ref": "#/components/responses/TooMany"},
             "503": {"$ref": "#/components/responses/Unavailable"}
            }
           }
          },
          "/healthz": {
           "get": {
            "security": [],
            "operationId": "healthz",
            "tags": ["About"],
            "summary": "Whether the process answers",
            "parameters": [],
            "responses": {
             "200": {"description": "It does", "content": {"text/plain": {"schema": {"type": "string"}}}},
             "400": {"$ref": "#/components/responses/BadRequest"},
             "503": {"$ref": "#/components/responses/Unavailable"}
            }
           }
          },
          "/readyz": {
           "get": {
            "security": [{}, {"basic": []}, {"bearer": []}],
            "operationId": "readyz",
            "tags": ["About"],
            "summary": "Whether instances are stored; why not is told to those who may monitor",
            "parameters": [],
            "responses": {
             "200": {"description": "They are", "content": {"text/plain": {"schema": {"type": "string"}}}},
             "401": {"$ref": "#/components/responses/Unauthorized"},
             "403": {"$ref": "#/components/responses/Forbidden"},
             "429": {"$ref": "#/components/responses/TooMany"},
             "503": {
              "description": "They are not; why",
              "content": {
               "text/plain": {"schema": {"type": "string"}},
               "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}
              }
             },
             "400": {"$ref": "#/components/responses/BadRequest"}
            }
           }
          },
          "/metrics": {
           "get": {
            "operationId": "metrics",
            "tags": ["About"],
            "summary": "Figures for Prometheus",
            "parameters": [],
            "responses": {
             "401": {"$ref": "#/components/responses/Unauthorized"},
             "403": {"$ref": "#/components/responses/Forbidden"},
             "429": {"$ref": "#/components/responses/TooMany"},
             "200": {
              "description": "In Prometheus' text format",
              "content": {"text/plain": {"schema": {"type": "string"}}}
             },
             "400": {"$ref": "#/components/responses/BadRequest"},
             "503": {"$ref": "#/components/responses/Unavailable"}
            }
           }
          }
         },
         "security": [{"basic": []}, {"bearer": []}, {"session": []}],
         "components": {
          "securitySchemes": {
           "basic": {"type": "http", "scheme": "basic", "description": "A user's name and password, in UTF-8"},
           "bearer": {
            "type": "http",
            "scheme": "bearer",
            "description": "An API token (snimok token add), or a JSON Web Token of the configured authority"
           },
           "session": {
            "type": "apiKey",
            "in": "cookie",
            "name": "__Host-snimok",
            "description": "Of whoever signed in at /login (`snimok` without TLS). Requests that change something \#
        also need the token of /whoami as X-CSRF-Token."
           }
          },
          "parameters": {
           "study": {
            "name": "study",
            "in": "path",
            "required": true,
            "description": "Study Instance UID",
            "schema": {"$ref": "#/components/schemas/UID"}
           },
           "series": {
            "name": "series",
            "in": "path",
            "required": true,
            "description": "Series Instance UID",
            "schema": {"$ref": "#/components/schemas/UID"}
           },
           "instance": {
            "name": "instance",
            "in": "path",
            "required": true,
            "description": "SOP Instance UID",
            "schema": {"$ref": "#/components/schemas/UID"}
           },
           "frames": {
            "name": "frames",
            "in": "path",
            "required": true,
            "description": "Frame numbers from 1, by commas",
            "schema": {"type": "string", "pattern": "^[1-9][0-9]{0,8}(,[1-9][0-9]{0,8}){0,15}$"}
           },
           "bulkdataPath": {
            "name": "path",
            "in": "path",
            "required": true,
            "description": "As in the BulkDataURI: a tag, or with dots the sequence's tag, the item's number from 0, \#
        and the tag within",
            "schema": {"type": "string", "pattern": "^[0-9A-Fa-f]{8}(\\.[0-9]{1,6}\\.[0-9A-Fa-f]{8}){0,4}$"}
           },
           "PatientName": {
            "name": "PatientName",
            "in": "query",
            "description": "Of any case; `*` and `?` stand for any letters, any letter",
            "schema": {"type": "string", "pattern": "^[A-Za-z0-9 ^=*?_.А-я-]{1,64}$"}
           },
           "PatientID": {
            "name": "PatientID",
            "in": "query",
            "description": "`*` and `?` stand for any letters, any letter",
            "schema": {"type": "string", "pattern": "^[A-Za-z0-9 ^=*?_.А-я-]{1,64}$"}
           },
           "StudyDate": {
            "name": "StudyDate",
            "in": "query",
            "description": "YYYYMMDD, or a range with a hyphen",
            "schema": {
             "type": "string",
             "pattern": "^(-?[12][0-9]{3}(0[1-9]|1[0-2])(0[1-9]|1[0-9]|2[0-8])|[12][0-9]{3}(0[1-9]|1[0-2])(0[1-9]|1[0\#
        -9]|2[0-8])-([12][0-9]{3}(0[1-9]|1[0-2])(0[1-9]|1[0-9]|2[0-8]))?)$"
            }
           },
           "StudyTime": {
            "name": "StudyTime",
            "in": "query",
            "description": "HHMM or HHMMSS, or a range with a hyphen",
            "schema": {
             "type": "string",
             "pattern": "^(-?([01][0-9]|2[0-3])([0-5][0-9]){1,2}|([01][0-9]|2[0-3])([0-5][0-9]){1,2}-(([01][0-9]|2[0-\#
        3])([0-5][0-9]){1,2})?)$"
            }
           },
           "AccessionNumber": {
            "name": "AccessionNumber",
            "in": "query",
            "description": "`*` and `?` stand for any letters, any letter",
            "schema": {"type": "string", "pattern": "^[A-Za-z0-9*?-]{1,16}$"}
           },
           "ModalitiesInStudy": {
            "name": "ModalitiesInStudy",
            "in": "query",
            "description": "A modality that the study has",
            "schema": {"type": "string", "pattern": "^[A-Z0-9_*?]{1,16}$"}
           },
           "ReferringPhysicianName": {
            "name": "ReferringPhysicianName",
            "in": "query",
            "description": "Of any case; `*` and `?` stand for any letters, any letter",
            "schema": {"type": "string", "pattern": "^[A-Za-z0-9 ^=*?_.А-я-]{1,64}$"}
           },
           "StudyDescription": {
            "name": "StudyDescription",
            "in": "query",
            "description": "`*` and `?` stand for any letters, any letter",
            "schema": {"type": "string", "pattern": "^[A-Za-z0-9 ^=*?_.А-я-]{1,64}$"}
           },
           "StudyInstanceUID": {
            "name": "StudyInstanceUID",
            "in": "query",
            "description": "One, or several by commas",
            "schema": {
             "type": "string",
             "pattern": "^[1-9][0-9]{0,8}(\\.(0|[1-9][0-9]{0,8})){1,5}(,[1-9][0-9]{0,8}(\\.(0|[1-9][0-9]{0,8})){1,5})\#
        {0,3}$"
            }
           },
           "Modality": {
            "name": "Modality",
            "in": "query",
            "description": "Of the series",
            "schema": {"type": "string", "pattern": "^[A-Z0-9_*?]{1,16}$"}
           },
           "SeriesInstanceUID": {
            "name": "SeriesInstanceUID",
            "in": "query",
            "description": "One, or several by commas",
            "schema": {
             "type": "string",
             "pattern": "^[1-9][0-9]{0,8}(\\.(0|[1-9][0-9]{0,8})){1,5}(,[1-9][0-9]{0,8}(\\.(0|[1-9][0-9]{0,8})){1,5})\#
        {0,3}$"
            }
           },
           "SeriesNumber": {
            "name": "SeriesNumber",
            "in": "query",
            "description": "A whole number",
            "schema": {"type": "string", "pattern": "^(0|[1-9][0-9]{0,8})$"}
           },
           "SeriesDescription": {
            "name": "SeriesDescription",
            "in": "query",
            "description": "`*` and `?` stand for any letters, any letter",
            "schema": {"type": "string", "pattern": "^[A-Za-z0-9 ^=*?_.А-я-]{1,64}$"}
           },
           "SOPClassUID": {
            "name": "SOPClassUID",
            "in": "query",
            "description": "One, or several by commas",
            "schema": {
             "type": "string",
             "pattern": "^[1-9][0-9]{0,8}(\\.(0|[1-9][0-9]{0,8})){1,5}(,[1-9][0-9]{0,8}(\\.(0|[1-9][0-9]{0,8})){1,5})\#
        {0,3}$"
            }
           },
           "SOPInstanceUID": {
            "name": "SOPInstanceUID",
            "in": "query",
            "description": "One, or several by commas",
            "schema": {
             "type": "string",
             "pattern": "^[1-9][0-9]{0,8}(\\.(0|[1-9][0-9]{0,8})){1,5}(,[1-9][0-9]{0,8}(\\.(0|[1-9][0-9]{0,8})){1,5})\#
        {0,3}$"
            }
           },
           "InstanceNumber": {
            "name": "InstanceNumber",
            "in": "query",
            "description": "A whole number",
            "schema": {"type": "string", "pattern": "^(0|[1-9][0-9]{0,8})$"}
           },
           "includefield": {
            "name": "includefield",
            "in": "query",
            "description": "What to return besides the usual; `all`, keywords, tags; repeated or by commas",
            "schema": {
             "type": "array",
             "maxItems": 8,
             "items": {
              "type": "string",
              "enum": [
               "all", "StudyDescription", "00081030", "00080060", "NumberOfFrames", "Rows", "Columns",
               "BodyPartExamined", "ReferencedSeriesSequence.SeriesInstanceUID"
              ]
             }
            }
           },
           "limit": {
            "name": "limit",
            "in": "query",
            "description": "At most so many matches",
            "schema": {"type": "integer", "minimum": 1, "maximum": 1000000}
           },
           "offset": {
            "name": "offset",
            "in": "query",
            "description": "So many matches are passed over",
            "schema": {"type": "integer", "minimum": 0, "maximum": 2000000000}
           },
           "fuzzymatching": {
            "name": "fuzzymatching",
            "in": "query",
            "description": "Whether names may also match in part; where that is not applied, a Warning says so",
            "schema": {"type": "string", "enum": ["true", "false"]}
           },
           "acceptSearch": {
            "name": "accept",
            "in": "query",
            "description": "In place of the header Accept (PS3.18 section 8.3.3.1)",
            "schema": {
             "type": "string",
             "enum": [
              "application/dicom+json", "application/json", "multipart/related; type=\"application/dicom+xml\""
             ]
            }
           },
           "acceptMetadata": {
            "name": "accept",
            "in": "query",
            "description": "In place of the header Accept (PS3.18 section 8.3.3.1)",
            "schema": {
             "type": "string",
             "enum": [
              "application/dicom+json", "application/json", "multipart/related; type=\"application/dicom+xml\""
             ]
            }
           },
           "acceptRetrieve": {
            "name": "accept",
            "in": "query",
            "description": "In place of the header Accept (PS3.18 section 8.3.3.1)",
            "schema": {
             "type": "string",
             "enum": [
              "multipart/related; type=\"application/dicom\"",
              "multipart/related; type=\"application/dicom\"; transfer-syntax=*",
              "multipart/related; type=\"application/dicom\"; transfer-syntax=1.2.840.10008.1.2.1",
              "application/dicom", "application/zip"
             ]
            }
           },
           "acceptBulkdata": {
            "name": "accept",
            "in": "query",
            "description": "In place of the header Accept (PS3.18 section 8.3.3.1)",
            "schema": {
             "type": "string",
             "enum": ["application/octet-stream", "multipart/related; type=\"application/octet-stream\""]
            }
           },
           "acceptFrames": {
            "name": "accept",
            "in": "query",
            "description": "In place of the header Accept (PS3.18 section 8.3.3.1)",
            "schema": {
             "type": "string",
             "enum": [
              "multipart/related; type=\"application/octet-stream\"", "application/octet-stream",
              "multipart/related; type=\"image/jpeg\"", "image/jpeg", "multipart/related; type=\"image/jls\"",
              "image/jls", "multipart/related; type=\"image/jp2\"", "image/jp2",
              "multipart/related; type=\"image/jphc\"", "image/jphc", "multipart/related; type=\"image/dicom-rle\"",
              "image/dicom-rle", "multipart/related; type=\"application/octet-stream\"; transfer-syntax=*"
             ]
            }
           },
           "acceptRendered": {
            "name": "accept",
            "in": "query",
            "description": "In place of the header Accept (PS3.18 section 8.3.3.1)",
            "schema": {
             "type": "string",
             "enum": [
              "image/jpeg", "image/png", "image/gif", "multipart/related; type=\"image/jpeg\"",
              "multipart/related; type=\"image/png\""
             ]
            }
           },
           "acceptThumbnail": {
            "name": "accept",
            "in": "query",
            "description": "In place of the header Accept (PS3.18 section 8.3.3.1)",
            "schema": {"type": "string", "enum": ["image/jpeg", "image/png", "image/gif"]}
           },
           "acceptStore": {
            "name": "accept",
            "in": "query",
            "description": "In place of the header Accept (PS3.18 section 8.3.3.1)",
            "schema": {
             "type": "string",
             "enum": ["application/dicom+json", "application/json", "application/dicom+xml"]
            }
           },
           "acceptCapabilities": {
            "name": "accept",
            "in": "query",
            "description": "In place of the header Accept (PS3.18 section 8.3.3.1)",
            "schema": {"type": "string", "enum": ["application/json", "application/vnd.sun.wadl+xml"]}
           },
           "range": {
            "name": "Range",
            "in": "header",
            "description": "One range of bytes",
            "schema": {"type": "string", "pattern": "^bytes=([0-9]{1,9}-[0-9]{0,9}|-[0-9]{1,9})$"}
           },
           "ifNoneMatch": {
            "name": "If-None-Match",
            "in": "header",
            "description": "The ETag of an earlier answer",
            "schema": {"type": "string", "pattern": "^(W/)?\"[A-Za-z0-9-]{1,64}\"$"}
           },
           "window": {
            "name": "window",
            "in": "query",
            "description": "Centre, width and function",
            "schema": {
             "type": "string",
             "pattern": "^-?[0-9]{1,6}(\\.[0-9]{1,6})?,[1-9][0-9]{0,5}(\\.[0-9]{1,6})?,(linear|linear-exact|sigmoid)$"
            }
           },
           "viewport": {
            "name": "viewport",
            "in": "query",
            "description": "Width and height that the picture must fit in; then, optionally, a region of the image: \#
        left, top, width, height (a negative width or height mirrors)",
            "schema": {
             "type": "string",
             "pattern": "^[1-9][0-9]{0,3},[1-9][0-9]{0,3}(,[0-9]{0,4},[0-9]{0,4}(,-?[1-9][0-9]{0,3},-?[1-9][0-9]{0,3}\#
        )?)?$"
            }
           },
           "quality": {
            "name": "quality",
            "in": "query",
            "description": "Of a JPEG",
            "schema": {"type": "integer", "minimum": 1, "maximum": 100}
           },
           "annotation": {
            "name": "annotation",
            "in": "query",
            "description": "What is written into the picture",
            "schema": {"type": "string", "pattern": "^(patient|technique|patient,technique|technique,patient)$"}
           }
          },
          "headers": {
           "TotalCount": {
            "description": "Matches without limit and offset",
            "schema": {"type": "integer", "minimum": 0}
           },
           "TotalCountRelation": {
            "description": "Whether the total is exact, or that many were counted and there may be more",
            "schema": {"type": "string", "enum": ["exact", "at-least"]}
           },
           "Warning": {"description": "What was not done as asked", "schema": {"type": "string"}},
           "ETag": {"description": "Changes with the content", "schema": {"type": "string"}},
           "AcceptRanges": {"description": "`bytes` where a part may be asked for", "schema": {"type": "string"}},
           "ContentRange": {"description": "Which part of how many bytes", "schema": {"type": "string"}}
          },
          "requestBodies": {
           "Instances": {
            "required": true,
            "content": {
             "multipart/related; type=\"application/dicom\"": {"schema": {"type": "string", "format": "binary"}},
             "application/dicom": {"schema": {"type": "string", "format": "binary"}},
             "multipart/related; type=\"application/dicom+json\"": {"schema": {"type": "string", "format": "binary"}}
            }
           }
          },
          "responses": {
           "Matches": {
            "description": "One data set for each match",
            "headers": {
             "X-Total-Count": {"$ref": "#/components/headers/TotalCount"},
             "X-Total-Count-Relation": {"$ref": "#/components/headers/TotalCountRelation"},
             "Warning": {"$ref": "#/components/headers/Warning"}
            },
            "content": {
             "application/dicom+json": {"schema": {"$ref": "#/components/schemas/Datasets"}},
             "application/json": {"schema": {"$ref": "#/components/schemas/Datasets"}},
             "multipart/related; type=\"application/dicom+xml\"": {"schema": {"type": "string", "format": "binary"}}
            }
           },
           "NoMatch": {"description": "Nothing matches"},
           "Metadata": {
            "description": "One data set for each instance; large values are references to bulk data",
            "headers": {"ETag": {"$ref": "#/components/headers/ETag"}},
            "content": {
             "application/dicom+json": {"schema": {"$ref": "#/components/schemas/Datasets"}},
             "application/json": {"schema": {"$ref": "#/components/schemas/Datasets"}},
             "multipart/related; type=\"application/dicom+xml\"": {"schema": {"type": "string", "format": "binary"}}
            }
           },
           "NotModified": {"description": "Still what the ETag stands for"},
           "Files": {
            "description": "Part 10 files, or a ZIP of them with a DICOMDIR",
            "content": {
             "multipart/related; type=\"application/dicom\"": {"schema": {"type": "string", "format": "binary"}},
             "application/zip": {"schema": {"type": "string", "format": "binary"}}
            }
           },
           "Picture": {
            "description": "The picture; a GIF of several frames moves",
            "content": {
             "image/jpeg": {"schema": {"type": "string", "format": "binary"}},
             "image/png": {"schema": {"type": "string", "format": "binary"}},
             "image/gif": {"schema": {"type": "string", "format": "binary"}},
             "multipart/related; type=\"image/jpeg\"": {"schema": {"type": "string", "format": "binary"}},
             "multipart/related; type=\"image/png\"": {"schema": {"type": "string", "format": "binary"}}
            }
           },
           "Thumbnail": {
            "description": "A small picture",
            "content": {
             "image/jpeg": {"schema": {"type": "string", "format": "binary"}},
             "image/png": {"schema": {"type": "string", "format": "binary"}},
             "image/gif": {"schema": {"type": "string", "format": "binary"}}
            }
           },
           "Capabilities": {
            "description": "What the archive can do",
            "content": {
             "application/json": {"schema": {"type": "object"}},
             "application/vnd.sun.wadl+xml": {"schema": {"type": "string"}}
            }
           },
           "StoredAll": {
            "description": "All instances are stored, durably",
            "content": {
             "application/dicom+json": {"schema": {"$ref": "#/components/schemas/StoreAnswer"}},
             "application/dicom+xml": {"schema": {"type": "string", "format": "binary"}}
            }
           },
           "StoredSome": {
            "description": "Some are stored, others not",
            "content": {
             "application/dicom+json": {"schema": {"$ref": "#/components/schemas/StoreAnswer"}},
             "application/dicom+xml": {"schema": {"type": "string", "format": "binary"}}
            }
           },
           "StoredNone": {
            "description": "None is stored",
            "content": {
             "application/dicom+json": {"schema": {"$ref": "#/components/schemas/StoreAnswer"}},
             "application/dicom+xml": {"schema": {"type": "string", "format": "binary"}}
            }
           },
           "BadRequest": {
            "description": "The request is malformed: an unknown parameter, a value that is none, a broken body",
            "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
           },
           "Unauthorized": {
            "description": "No credentials, or none that count; the same for addresses that exist and others",
            "headers": {"WWW-Authenticate": {"schema": {"type": "string"}}},
            "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
           },
           "TooMany": {
            "description": "Too many wrong passwords, or requests of one client; later, as Retry-After says",
            "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
           },
           "Forbidden": {
            "description": "The permission lacks, or the configuration does not allow it",
            "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
           },
           "NotFound": {
            "description": "Nothing with these UIDs is here, or the archive has no such resource",
            "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
           },
           "NotAcceptable": {
            "description": "None of the asked types can be given; `detail` lists those that can",
            "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
           },
           "Conflict": {
            "description": "The request conflicts with what is stored",
            "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
           },
           "TooLarge": {
            "description": "More than the archive takes, renders or searches at once",
            "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
           },
           "AddressTooLong": {
            "description": "The address is longer than 16 KiB",
            "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
           },
           "UnsupportedMediaType": {
            "description": "The body is of a type that cannot be stored",
            "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
           },
           "RangeNotSatisfiable": {
            "description": "The asked range lies outside",
            "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
           },
           "Undecodable": {
            "description": "The stored image cannot be decoded; `detail` says why",
            "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
           },
           "Retained": {
            "description": "It must be kept for now; nothing was deleted",
            "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
           },
           "NotImplemented": {
            "description": "Not available yet",
            "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
           },
           "Unavailable": {
            "description": "The archive is busy, is stopping, or does not store for now",
            "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
           },
           "NoSpace": {
            "description": "The archive's disk is full",
            "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
           }
          },
          "schemas": {
           "UID": {"type": "string", "pattern": "^[0-9.]{1,64}$"},
           "Problem": {
            "type": "object",
            "required": ["type", "title", "status", "detail"],
            "properties": {
             "type": {"type": "string"},
             "title": {"type": "string"},
             "status": {"type": "integer"},
             "detail": {"type": "string", "description": "A sentence for the person"}
            }
           },
           "Dataset": {
            "type": "object",
            "description": "A data set as DICOM JSON (PS3.18 annex F): attributes by tag",
            "additionalProperties": {"$ref": "#/components/schemas/Attribute"}
           },
           "Datasets": {"type": "array", "items": {"$ref": "#/components/schemas/Dataset"}},
           "Attribute": {
            "type": "object",
            "required": ["vr"],
            "additionalProperties": false,
            "properties": {
             "vr": {"type": "string", "pattern": "^[A-Z]{2}$"},
             "Value": {"type": "array", "items": {"nullable": true}},
             "InlineBinary": {"type": "string"},
             "BulkDataURI": {"type": "string"}
            }
           },
           "StoreAnswer": {
            "allOf": [{"$ref": "#/components/schemas/Dataset"}],
            "description": "Referenced SOP Sequence (0008,1199), Failed SOP Sequence (0008,1198) with Failure Reason \#
        (0008,1197), Retrieve URL (0008,1190)"
           },
           "Digest": {
            "type": "string",
            "description": "BLAKE3 of the padded transfer syntax UID and the data set, in hexadecimal",
            "pattern": "^[0-9a-f]{64}$"
           },
           "Identity": {
            "type": "object",
            "required": ["kind", "name", "organisation", "permissions"],
            "properties": {
             "kind": {"type": "string", "enum": ["user", "token", "local"]},
             "name": {"type": "string"},
             "organisation": {"type": "string"},
             "permissions": {"type": "array", "items": {"type": "string"}},
             "antiForgeryToken": {"type": "string", "description": "Of a session, for X-CSRF-Token"}
            }
           },
           "ShareWanted": {
            "type": "object",
            "required": ["study", "with", "until"],
            "properties": {
             "study": {"type": "string", "maxLength": 64},
             "with": {"type": "string", "description": "Name of an organisation"},
             "until": {"type": "string", "description": "A day as 2026-12-31, to its end in UTC, or a number of days"}
            }
           },
           "Share": {
            "type": "object",
            "required": ["number", "study", "of", "with", "by", "since", "until"],
            "properties": {
             "number": {"type": "integer", "format": "int64"}, "study": {"type": "string"},
             "of": {"type": "string"}, "with": {"type": "string"}, "by": {"type": "string"},
             "since": {"type": "string"}, "until": {"type": "string"}
            }
           },
           "UploadQuestion": {
            "type": "object",
            "required": ["instances"],
            "properties": {
             "instances": {
              "type": "array",
              "maxItems": 10000,
              "items": {
               "type": "object",
               "required": ["digest", "studyInstanceUID"],
               "properties": {
                "digest": {"$ref": "#/components/schemas/Digest"},
                "studyInstanceUID": {"$ref": "#/components/schemas/UID"}
               }
              }
             }
            }
           },
           "UploadAnswer": {
            "type": "object",
            "required": ["instances"],
            "properties": {
             "instances": {
              "type": "array",
              "items": {
               "type": "object",
               "required": ["digest", "state"],
               "properties": {
                "digest": {"$ref": "#/components/schemas/Digest"},
                "state": {"type": "string", "enum": ["present", "unknown"]}
               }
              }
             }
            }
           }
          }
         }
        }
        """#
}
