"""What the tests of the whole service share: the server as a process, foreign clients, raw protocol, samples."""
