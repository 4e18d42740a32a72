// SPDX-License-Identifier: Apache-2.0

// What this machine and these tools could do at best: peers that do nothing, and the disk, the hash and the network
// alone. The benchmark holds the archive against them; see --help.

import Glibc

exit(LimitsTool.run(Array(CommandLine.arguments.dropFirst())))
