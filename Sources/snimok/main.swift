// SPDX-License-Identifier: Apache-2.0
import Glibc
import Server

// What is written is nobody else's to read, whatever the directory allows.
umask(0o027)
exit(CommandLineTool.run(Array(CommandLine.arguments.dropFirst())))
