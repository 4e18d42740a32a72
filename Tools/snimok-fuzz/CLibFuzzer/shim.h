// SPDX-License-Identifier: Apache-2.0
// libFuzzer as a library (https://llvm.org/docs/LibFuzzer.html, "Using libFuzzer as a library"). It comes with Swift's
// compiler; only the builds of Tools/fuzz link it.
int LLVMFuzzerRunDriver(int *argc, char ***argv, int (*run)(const unsigned char *data, unsigned long size));
