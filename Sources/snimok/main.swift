// SPDX-License-Identifier: Apache-2.0
import Glibc
import Server

exit(CommandLineTool.run(Array(CommandLine.arguments.dropFirst())))
