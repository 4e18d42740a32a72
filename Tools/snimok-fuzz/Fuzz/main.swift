// SPDX-License-Identifier: Apache-2.0
// Inputs that nobody has thought of, for everything that reads what others wrote.
import Glibc

exit(FuzzTool.run(Array(CommandLine.arguments.dropFirst())))
