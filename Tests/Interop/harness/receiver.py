# SPDX-License-Identifier: Apache-2.0
"""`snimok receive` as a process: what keeps an archive's second copy on another machine."""
import json
import re
import signal
import subprocess
import threading

from harness.archive import BINARY
from harness.tools import free_port

READY = re.compile(r"ready receiver=\S+:(\d+)")


class Receiver:
    def __init__(self, folder, data, **settings):
        folder.mkdir(parents=True, exist_ok=True)
        self.data, self.config, self.port = data, folder / "receiver.json5", free_port()
        self.config.write_text(json.dumps({"receiver": settings}))
        self.process, self.log = None, []

    def start(self):
        ready = threading.Event()
        self.process = subprocess.Popen(
            [BINARY, "receive", "--config", self.config, "--data", self.data, "--port", str(self.port)],
            stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

        def read(process):
            for line in process.stderr:
                self.log.append(line.rstrip())
                if READY.search(line):
                    ready.set()
            process.stderr.close()

        self.reader = threading.Thread(target=read, args=(self.process,), daemon=True)
        self.reader.start()
        assert ready.wait(20), "\n".join(self.log)
        return self

    def _end(self, number, code):
        if self.process is None:
            return
        self.process.send_signal(signal.SIGCONT)
        self.process.send_signal(number)
        ended = self.process.wait(30)
        self.reader.join(10)
        self.process = None
        assert code is None or ended == code, "\n".join(self.log)

    def stop(self):
        self._end(signal.SIGTERM, 0)

    def kill(self):
        self._end(signal.SIGKILL, None)

    def hang(self):
        """It takes and answers nothing, and its connections stay."""
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)
