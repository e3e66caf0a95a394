/* LD_PRELOAD: file system calls on one directory that hang, fail or fall short, as a mapped file says.
 *
 * LOGOPS_SHIM_CONTROL names the file: uint32 mode (enum below), uint32 pid that it holds for (0: every process), uint32
 * number of calls that have met a fault so far.
 * LOGOPS_SHIM_DIR is the directory whose files are meant. A hang lasts for as long as the mode does, as with a frozen
 * file system; SIGKILL ends it.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { NONE, HANG_WRITE, HANG_SYNC, HANG_OPEN, HANG_TRUNCATE, FREEZE, SHORT_WRITE, FAIL_SYNC };

static volatile uint32_t *control;
static char directory[PATH_MAX];
static size_t length;

__attribute__((constructor)) static void start(void) {
    const char *name = getenv("LOGOPS_SHIM_CONTROL"), *dir = getenv("LOGOPS_SHIM_DIR");
    int fd = name == NULL || dir == NULL ? -1 : open(name, O_RDWR | O_CLOEXEC);
    if (fd < 0) return;
    void *mapped = mmap(NULL, 12, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (mapped == MAP_FAILED) return;
    length = (size_t)snprintf(directory, sizeof directory, "%s/", dir);
    control = mapped;
}

static uint32_t mode(void) {
    if (control == NULL || control[0] == NONE) return NONE;
    return control[1] != 0 && control[1] != (uint32_t)getpid() ? NONE : control[0];
}

static int meant(const char *path) { return strncmp(path, directory, length) == 0; }

static int meant_fd(int fd) {
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, sizeof path - 1);
    if (size < 0) return 0;
    path[size] = 0;
    return meant(path);
}

static void met(void) { __atomic_add_fetch(&control[2], 1, __ATOMIC_SEQ_CST); }

static void hang(uint32_t wanted) {
    const struct timespec nap = {0, 2000000};
    if (mode() != wanted && mode() != FREEZE) return;
    met();
    while (mode() == wanted || mode() == FREEZE) nanosleep(&nap, NULL);
}

#define REAL(type, name) static type (*real)(); if (real == NULL) real = (type (*)())dlsym(RTLD_NEXT, name)

static int short_write(const struct iovec *parts, int count, ssize_t *taken, int fd) {
    met();
    size_t size = 0;
    for (int i = 0; i < count; i++) size += parts[i].iov_len;
    if (size < 2) { errno = ENOSPC; *taken = -1; return 1; }
    size_t half = size / 2;
    ssize_t all = 0;
    for (int i = 0; i < count && half > 0; i++) {
        size_t piece = parts[i].iov_len < half ? parts[i].iov_len : half;
        ssize_t now = syscall(SYS_write, fd, parts[i].iov_base, piece);
        if (now <= 0) break;
        all += now;
        half -= (size_t)now;
    }
    *taken = all;
    return 1;
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    REAL(ssize_t, "writev");
    uint32_t now = mode();
    if (now != NONE && meant_fd(fd)) {
        ssize_t taken;
        if (now == HANG_WRITE || now == FREEZE) hang(HANG_WRITE);
        if (now == SHORT_WRITE && short_write(parts, count, &taken, fd)) return taken;
    }
    return real(fd, parts, count);
}

static int sync_fault(int fd) {
    uint32_t now = mode();
    if (now == NONE || !meant_fd(fd)) return 0;
    if (now == HANG_SYNC || now == FREEZE) hang(HANG_SYNC);
    if (now == FAIL_SYNC) { met(); errno = EIO; return -1; }
    return 0;
}

int fdatasync(int fd) { REAL(int, "fdatasync"); return sync_fault(fd) ? -1 : real(fd); }
int fsync(int fd) { REAL(int, "fsync"); return sync_fault(fd) ? -1 : real(fd); }

int ftruncate(int fd, off_t size) {
    REAL(int, "ftruncate");
    if ((mode() == HANG_TRUNCATE || mode() == FREEZE) && meant_fd(fd)) hang(HANG_TRUNCATE);
    return real(fd, size);
}
int ftruncate64(int fd, off64_t size) { return ftruncate(fd, (off_t)size); }

static void before_open(const char *path, int flags) {
    if ((flags & O_CREAT) && (mode() == HANG_OPEN || mode() == FREEZE) && meant(path)) hang(HANG_OPEN);
}

#define OPEN(name)                                                   \
    int name(const char *path, int flags, ...) {                     \
        REAL(int, #name);                                            \
        va_list more;                                                \
        va_start(more, flags);                                       \
        unsigned permissions = flags & O_CREAT ? va_arg(more, unsigned) : 0; \
        va_end(more);                                                \
        if (control != NULL) before_open(path, flags);               \
        return real(path, flags, permissions);                       \
    }
OPEN(open)
OPEN(open64)

int link(const char *from, const char *to) {
    REAL(int, "link");
    if (mode() == FREEZE && meant(to)) hang(FREEZE);
    return real(from, to);
}

/* The kernel's own syncs: refused while syncs are to hang or to fail, so that the thread makes them, through fdatasync. */
long syscall(long number, ...) {
    static long (*real)(long, ...);
    if (real == NULL) real = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
    va_list more;
    va_start(more, number);
    long a = va_arg(more, long), b = va_arg(more, long), c = va_arg(more, long), d = va_arg(more, long);
    long e = va_arg(more, long), f = va_arg(more, long);
    va_end(more);
    uint32_t now = mode();
    if (number == SYS_io_submit && (now == HANG_SYNC || now == FREEZE || now == FAIL_SYNC)) { errno = EAGAIN; return -1; }
    return real(number, a, b, c, d, e, f);
}
