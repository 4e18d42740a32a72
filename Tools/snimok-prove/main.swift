// SPDX-License-Identifier: Apache-2.0

// The proof that nothing acknowledged is lost, on a simulated disk; see --help.

import Glibc

exit(ProveTool.run(Array(CommandLine.arguments.dropFirst())))
