"""A file system of a few megabytes, which a filler can fill up. Mounting one takes the rights of root."""

import os
import subprocess
from contextlib import suppress
from pathlib import Path


class CannotMount(Exception):
    """The system does not permit it; the text says why."""


class SmallDisk:
    """A tmpfs on a new directory, until close()."""

    def __init__(self, path, size_mb):
        self.path = Path(path)
        self.path.mkdir(parents=True, exist_ok=True)
        self.mounted = False
        options = ["-t", "tmpfs", "-o", f"size={size_mb}m", "lockstep-test"]
        try:
            done = subprocess.run(["mount", *options, self.path], capture_output=True, text=True, check=False, timeout=30)
        except FileNotFoundError as err:
            raise CannotMount(str(err)) from None
        if done.returncode != 0:
            raise CannotMount(done.stderr.strip())
        self.mounted = True

    @property
    def filler(self):
        return self.path / "filler"

    def fill(self):
        with suppress(OSError), open(self.filler, "ab", buffering=0) as file:
            while True:
                file.write(bytes(4096))

    def fill_up_to(self, left_bytes):
        """Leaves about that much room, while others may write."""
        with open(self.filler, "ab") as file:
            while True:
                room = os.statvfs(self.path)
                size = room.f_bavail * room.f_frsize - left_bytes
                if size <= 0:
                    return
                with suppress(OSError):  # another was faster
                    os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_size, size)

    def make_room(self):
        self.filler.unlink()

    def close(self):
        if self.mounted:
            subprocess.run(["umount", "-l", self.path], check=True, timeout=30)
        self.mounted = False
