// SPDX-License-Identifier: Apache-2.0

// Sends studies to an archive over many associations and says how fast they were taken; see --help.

import Glibc

exit(LoadTool.run(Array(CommandLine.arguments.dropFirst())))
