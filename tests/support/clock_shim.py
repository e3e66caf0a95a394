"""A wall clock that a test can set, for a real program that is not ours: a library that is loaded before libc."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile double *offset;

static double seconds(void) {
    if (!offset) {
        int fd = open(getenv("CLOCK_SHIM_FILE"), O_RDONLY);
        void *map = mmap(0, sizeof(double), PROT_READ, MAP_SHARED, fd, 0);
        close(fd);
        if (map == MAP_FAILED) abort();
        offset = map;
    }
    return *offset;
}

int gettimeofday(struct timeval *restrict tv, void *restrict zone) {
    static int (*real)(struct timeval *, void *);
    if (!real) real = dlsym(RTLD_NEXT, "gettimeofday");
    int result = real(tv, zone);
    tv->tv_sec += (time_t)seconds();
    return result;
}

int clock_gettime(clockid_t clock, struct timespec *ts) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, ts);
    if (clock == CLOCK_REALTIME) ts->tv_sec += (time_t)seconds();
    return result;
}

time_t time(time_t *out) {
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    if (out) *out = ts.tv_sec;
    return ts.tv_sec;
}
"""


class ClockShim:
    """Built with the C compiler that the compiled package needs too; ``env`` is for the program to start."""

    def __init__(self, directory: Path) -> None:
        compiler = shutil.which("cc") or shutil.which("gcc")
        if compiler is None:
            pytest.skip("there is no C compiler to build the clock's library with")
        source, library = directory / "shim.c", directory / "shim.so"
        source.write_text(SOURCE)
        subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
        self._file = directory / "offset"
        self.set(0)
        self.env = {**os.environ, "LD_PRELOAD": str(library), "CLOCK_SHIM_FILE": str(self._file)}

    def set(self, seconds: float) -> None:
        """Show the time of this many seconds from now (or ago), from now on."""
        with self._file.open("r+b" if self._file.exists() else "wb") as file:
            file.write(struct.pack("d", seconds))
