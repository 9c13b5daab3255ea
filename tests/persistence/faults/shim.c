/* Faults at the write points of one directory: preloaded into a process, armed by it through ctypes.

   A write point is a call that changes a file or a name below the directory, or that syncs. The k-th one fails,
   is short, is torn, ends the process, or is a sync that does nothing. Nothing is synced for real: a model knows
   what would be on the disk. It has, for each file with unsynced changes, what was there at the last sync and
   the changes since; and the names that were made, replaced or removed since the last sync of their folder.
   At a power cut all of that is taken back, or, by a seed, some of it: of the changes of a file any, and of a
   write any of its sectors; of the names the last ones, since file systems keep a journal of these.

   The files "*-shm" are memory that has a name: calls fail there as elsewhere, and a power cut leaves junk. */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#define SECTOR 512
#define DIED 86 /* status of a process that a fault ended */

/* The same order as KINDS in points.py. */
enum kind {
    NONE,
    FULL,         /* ENOSPC */
    BROKEN,       /* EIO */
    REPORTED,     /* done, and EIO (no writes) */
    SHORT,        /* a write does a part */
    SHORT_FULL,   /* a write does a part, the next one is ENOSPC */
    STAYS_FULL,   /* from here on what takes room is ENOSPC */
    STAYS_BROKEN, /* from here on everything is EIO */
    DROPPED,      /* a sync is EIO, and what it was for will not be written by a later one either */
    ALL_DROPPED,  /* so are the next few syncs */
    BAD_WHILE,    /* the next few calls are EIO, and syncs as those */
    TORN,         /* a write does a part, and the process dies; other calls are not done */
    POWER,        /* power cut */
    LOST,         /* a sync says that it has, and has not */
};

enum sort { WRITE, SYNC, SIZE, TAKES_NAME, FREES_NAME };

struct change {
    off_t offset;
    size_t length;
    char *data; /* NULL: the file has this length now */
};

struct file {
    dev_t device;
    ino_t inode;
    int fd;
    int shm;
    char *synced; /* what is on the disk, if that is not what can be read */
    size_t synced_length;
    int differs;
    int tainted; /* something will never get there */
    struct change *changes;
    int count, room;
};

enum naming { MADE, FOLDER, RENAMED, REMOVED };

struct name {
    enum naming naming;
    char path[PATH_MAX];
    char before[PATH_MAX]; /* of RENAMED */
    char saved[PATH_MAX];  /* what had the name, kept under another; "" if nothing */
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static int armed;
static enum kind kind;
static long point, count;
static unsigned long state; /* of the random numbers; 0: everything that can be lost is lost */
static int full_next;
static char directory[PATH_MAX], graveyard[PATH_MAX], place[PATH_MAX];
static int buried;
static int trace = -1;

static struct file files[512];
static int file_count;
static struct name names[4096];
static int name_count;

static unsigned long chance(unsigned long below) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state % below;
}

static int some(void) { return state && chance(2); }

static void die(const char *why) {
    dprintf(2, "faults: %s: %s\n", why, strerror(errno));
    _exit(87);
}

static void *grown(void *memory, size_t size) {
    memory = realloc(memory, size ? size : 1);
    if (!memory) die("memory");
    return memory;
}

/* --- what would be on the disk ------------------------------------------------------------------ */

static int ends_with(const char *text, const char *end) {
    size_t length = strlen(text), tail = strlen(end);
    return length >= tail && !strcmp(text + length - tail, end);
}

static int ours(const char *path) {
    size_t length = strlen(directory);
    return armed && !strncmp(path, directory, length) && (path[length] == '/' || !path[length]);
}

/* The path of an open file or folder below the directory; whether it is one. */
static int path_of(int fd, char *path) {
    char link[64];
    if (!armed) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    if (length <= 0) return 0;
    path[length] = 0;
    return ours(path);
}

static struct file *file_of(int fd, const char *path) {
    struct stat found;
    if (fstat(fd, &found)) die("fstat");
    for (int i = 0; i < file_count; i++)
        if (files[i].inode == found.st_ino && files[i].device == found.st_dev) return &files[i];
    if (file_count == sizeof files / sizeof *files) die("too many files");
    struct file *file = &files[file_count++];
    memset(file, 0, sizeof *file);
    file->device = found.st_dev;
    file->inode = found.st_ino;
    file->shm = ends_with(path, "-shm");
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    /* Never closed: that would drop the locks which the process has on the file. */
    file->fd = syscall(SYS_openat, AT_FDCWD, link, O_RDWR | O_CLOEXEC, 0);
    if (file->fd < 0) die(path);
    return file;
}

static void apply(char **data, size_t *length, const struct change *change, size_t skip, size_t until) {
    if (!change->data) {
        size_t size = change->length;
        *data = grown(*data, size);
        if (size > *length) memset(*data + *length, 0, size - *length);
        *length = size;
        return;
    }
    if (until > change->length) until = change->length;
    size_t end = change->offset + until;
    if (end > *length) {
        *data = grown(*data, end);
        memset(*data + *length, 0, end - *length);
        *length = end;
    }
    memcpy(*data + change->offset + skip, change->data + skip, until - skip);
}

static void changed(struct file *file, off_t offset, const char *data, size_t length) {
    if (file->shm) return;
    if (file->count == file->room) {
        file->room = file->room * 2 + 16;
        file->changes = grown(file->changes, file->room * sizeof *file->changes);
    }
    struct change *change = &file->changes[file->count++];
    change->offset = offset;
    change->length = length;
    change->data = NULL;
    if (data) {
        change->data = grown(NULL, length);
        memcpy(change->data, data, length);
    }
}

/* To be called before a change. */
static void keep(struct file *file) {
    struct stat found;
    if (file->differs || file->shm) return;
    if (fstat(file->fd, &found)) die("fstat");
    file->synced = grown(NULL, found.st_size);
    file->synced_length = found.st_size;
    if (pread(file->fd, file->synced, found.st_size, 0) != found.st_size) die("pread");
    file->differs = 1;
}

static void synced(struct file *file) {
    for (int i = 0; i < file->count; i++) {
        if (file->tainted) apply(&file->synced, &file->synced_length, &file->changes[i], 0, SIZE_MAX);
        free(file->changes[i].data);
    }
    file->count = 0;
    if (file->differs && !file->tainted) {
        free(file->synced);
        file->differs = 0;
    }
}

/* A seeded part of the changes gets to the disk, the rest never. */
static void some_synced(struct file *file) {
    for (int i = 0; i < file->count; i++) {
        struct change *change = &file->changes[i];
        if (!change->data) {
            if (some()) apply(&file->synced, &file->synced_length, change, 0, SIZE_MAX);
        } else if (some()) {
            int torn = chance(4) == 0;
            for (size_t at = 0; at < change->length; at += SECTOR)
                if (!torn || some()) apply(&file->synced, &file->synced_length, change, at, at + SECTOR);
        }
        free(change->data);
    }
    file->count = 0;
    file->tainted = 1;
}

static void named(enum naming naming, const char *path, const char *before, const char *saved) {
    if (ends_with(path, "-shm")) return;
    if (name_count == sizeof names / sizeof *names) die("too many names");
    struct name *name = &names[name_count++];
    name->naming = naming;
    snprintf(name->path, PATH_MAX, "%s", path);
    snprintf(name->before, PATH_MAX, "%s", before);
    snprintf(name->saved, PATH_MAX, "%s", saved);
}

static void folder_synced(const char *folder) {
    size_t length = strlen(folder);
    int left = 0;
    for (int i = 0; i < name_count; i++) {
        const char *path = names[i].path;
        int inside = !strncmp(path, folder, length) && path[length] == '/' && !strchr(path + length + 1, '/');
        if (!inside) names[left++] = names[i];
    }
    name_count = left;
}

static void grave(char *path) {
    if (snprintf(path, PATH_MAX, "%s/%d", graveyard, buried++) >= PATH_MAX) die("path");
}

/* Keep what has a name that is about to be replaced or removed. */
static void save(const char *path, char *saved) {
    saved[0] = 0;
    if (faccessat(AT_FDCWD, path, F_OK, 0)) return;
    grave(saved);
    if (linkat(AT_FDCWD, path, AT_FDCWD, saved, 0)) die("link");
}

static void move(const char *from, const char *to) {
    if (syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0)) die(from);
}

static void power_cut(void) {
    for (int i = 0; i < file_count; i++) {
        struct file *file = &files[i];
        if (file->shm) {
            struct stat found;
            if (fstat(file->fd, &found)) die("fstat");
            for (off_t at = 0; at < found.st_size; at++) {
                char junk = state ? chance(256) : 0xff;
                if (syscall(SYS_pwrite64, file->fd, &junk, 1, at) != 1) die("pwrite");
                if (at == 4096) break;
            }
        }
        if (!file->differs) continue;
        some_synced(file);
        if (syscall(SYS_ftruncate, file->fd, (off_t)0)) die("ftruncate");
        size_t length = file->synced_length;
        if (syscall(SYS_pwrite64, file->fd, file->synced, length, (off_t)0) != (ssize_t)length) die("pwrite");
    }
    int kept = state && name_count ? (int)chance(name_count + 1) : 0;
    while (name_count > kept) {
        struct name *name = &names[--name_count];
        char lost[PATH_MAX];
        if (name->naming == REMOVED) {
            move(name->saved, name->path);
        } else if (name->naming == RENAMED) {
            move(name->path, name->before);
            if (name->saved[0]) move(name->saved, name->path);
        } else {
            grave(lost);
            move(name->path, lost);
        }
    }
    _exit(DIED);
}

/* --- which calls are faulty --------------------------------------------------------------------- */

static int applies(enum sort sort, size_t length) {
    switch (kind) {
    case SHORT:
    case SHORT_FULL:
        return sort == WRITE && length > 1;
    case REPORTED:
        return sort != WRITE;
    case DROPPED:
    case ALL_DROPPED:
    case LOST:
        return sort == SYNC;
    default:
        return 1;
    }
}

/* What the next call is to suffer; NONE if nothing. */
static enum kind fault(enum sort sort, size_t length, int takes_room, const char *path) {
    if (full_next && sort == WRITE) {
        full_next = 0;
        return FULL;
    }
    if (!applies(sort, length)) return NONE;
    count++;
    if (count == point) snprintf(place, sizeof place, "%s", path);
    if (kind == STAYS_BROKEN && count >= point) return BROKEN;
    if (kind == STAYS_FULL && count >= point) return takes_room ? FULL : NONE;
    if (kind == ALL_DROPPED && count >= point && count < point + 2 + point % 7) return DROPPED;
    if (kind == BAD_WHILE && count >= point && count < point + 2 + point % 29) return sort == SYNC ? DROPPED : BROKEN;
    if (count != point) return NONE;
    if (kind == POWER) power_cut();
    return kind;
}

static void tell(const char *call, const char *path, long long offset, long long length, long result) {
    if (trace >= 0) {
        const char *name = path + strlen(directory);
        dprintf(trace, "%s\t%s\t%lld\t%lld\t%ld\n", call, *name ? name + 1 : ".", offset, length, result);
    }
}

static long refused(int error) {
    errno = error;
    return -1;
}

/* --- the calls ---------------------------------------------------------------------------------- */

/* offset -1: where the file is. */
static ssize_t written(int fd, const char *data, size_t length, off_t offset, const char *path) {
    struct file *file = file_of(fd, path);
    struct stat found;
    off_t at = offset < 0 ? lseek(fd, 0, SEEK_CUR) : offset;
    if (fstat(fd, &found)) die("fstat");
    enum kind fate = fault(WRITE, length, at + (off_t)length > found.st_size, path);
    if (fate == FULL) return refused(ENOSPC);
    if (fate == BROKEN) return refused(EIO);
    size_t part = length;
    if (fate == SHORT || fate == SHORT_FULL) part = state ? 1 + chance(length - 1) : length / 2;
    if (fate == TORN) part = state ? chance(length) : length / 2;
    full_next = fate == SHORT_FULL;
    keep(file);
    ssize_t result = offset < 0 ? syscall(SYS_write, fd, data, part) : syscall(SYS_pwrite64, fd, data, part, offset);
    if (fate == TORN) _exit(DIED);
    if (result > 0) changed(file, at, data, result);
    return result;
}

static ssize_t gathered(int fd, const struct iovec *parts, int number, off_t offset, const char *path) {
    size_t length = 0;
    for (int i = 0; i < number; i++) length += parts[i].iov_len;
    char *data = grown(NULL, length), *end = data;
    for (int i = 0; i < number; end += parts[i++].iov_len) memcpy(end, parts[i].iov_base, parts[i].iov_len);
    ssize_t result = written(fd, data, length, offset, path);
    free(data);
    return result;
}

static int sized(int fd, off_t size, const char *path) {
    struct file *file = file_of(fd, path);
    struct stat found;
    if (fstat(fd, &found)) die("fstat");
    enum kind fate = fault(SIZE, 0, size > found.st_size, path);
    if (fate == FULL) return refused(ENOSPC);
    if (fate == BROKEN) return refused(EIO);
    if (fate == TORN) _exit(DIED);
    keep(file);
    int result = syscall(SYS_ftruncate, fd, size);
    if (!result) changed(file, 0, NULL, size);
    return fate == REPORTED ? refused(EIO) : result;
}

static int sync_of(int fd, const char *path) {
    struct stat found;
    if (fstat(fd, &found)) die("fstat");
    enum kind fate = fault(SYNC, 0, 0, path);
    if (fate == FULL) return refused(ENOSPC);
    if (fate == BROKEN) return refused(EIO);
    if (fate == TORN) _exit(DIED);
    if (fate == LOST) return 0;
    if (S_ISDIR(found.st_mode)) {
        if (fate == DROPPED) return refused(EIO);
        folder_synced(path);
    } else {
        struct file *file = file_of(fd, path);
        if (fate == DROPPED) {
            if (file->differs) some_synced(file);
            return refused(EIO);
        }
        synced(file);
    }
    return fate == REPORTED ? refused(EIO) : 0;
}

static int opened(int folder, const char *path, int flags, mode_t mode) {
    pthread_mutex_lock(&mutex);
    int result;
    /* Paths are absolute wherever a store is. */
    if (!(flags & O_CREAT) || !ours(path) || !faccessat(AT_FDCWD, path, F_OK, 0)) {
        result = syscall(SYS_openat, folder, path, flags, mode);
    } else {
        enum kind fate = fault(TAKES_NAME, 0, 1, path);
        if (fate == TORN) _exit(DIED);
        if (fate == FULL || fate == BROKEN) {
            result = refused(fate == FULL ? ENOSPC : EIO);
        } else {
            result = syscall(SYS_openat, folder, path, flags, mode);
            if (result >= 0) named(MADE, path, "", "");
            if (result >= 0 && fate == REPORTED) {
                syscall(SYS_close, result);
                result = refused(EIO);
            }
        }
        int error = errno;
        tell("create", path, 0, 0, result < 0 ? result : 0);
        errno = error;
    }
    pthread_mutex_unlock(&mutex);
    return result;
}

static mode_t mode_of(int flags, va_list rest) {
    return flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(rest, mode_t) : 0;
}

#define OPEN(name)                                     \
    int name(const char *path, int flags, ...) {       \
        va_list rest;                                  \
        va_start(rest, flags);                         \
        mode_t mode = mode_of(flags, rest);            \
        va_end(rest);                                  \
        return opened(AT_FDCWD, path, flags, mode);    \
    }
#define OPENAT(name)                                             \
    int name(int folder, const char *path, int flags, ...) {     \
        va_list rest;                                            \
        va_start(rest, flags);                                   \
        mode_t mode = mode_of(flags, rest);                      \
        va_end(rest);                                            \
        return opened(folder, path, flags, mode);                \
    }
OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)

/* A call on a descriptor: ``faulty`` if it is below the directory, else ``real``. */
#define ON_DESCRIPTOR(type, name, offset, length, faulty, real)      \
    pthread_mutex_lock(&mutex);                                      \
    char path[PATH_MAX];                                             \
    type result;                                                     \
    if (path_of(fd, path)) {                                         \
        result = faulty;                                             \
        int error = errno;                                           \
        tell(name, path, offset, length, result);                    \
        errno = error;                                               \
        pthread_mutex_unlock(&mutex);                                \
        return result;                                               \
    }                                                                \
    pthread_mutex_unlock(&mutex);                                    \
    return real;

ssize_t write(int fd, const void *data, size_t length) {
    ON_DESCRIPTOR(ssize_t, "write", -1, length, written(fd, data, length, -1, path),
                  syscall(SYS_write, fd, data, length))
}

ssize_t pwrite64(int fd, const void *data, size_t length, off_t offset) {
    ON_DESCRIPTOR(ssize_t, "write", offset, length, written(fd, data, length, offset, path),
                  syscall(SYS_pwrite64, fd, data, length, offset))
}

ssize_t pwrite(int fd, const void *data, size_t length, off_t offset) { return pwrite64(fd, data, length, offset); }

ssize_t writev(int fd, const struct iovec *parts, int number) {
    ON_DESCRIPTOR(ssize_t, "write", -1, number, gathered(fd, parts, number, -1, path),
                  syscall(SYS_writev, fd, parts, number))
}

ssize_t pwritev64(int fd, const struct iovec *parts, int number, off_t offset) {
    ON_DESCRIPTOR(ssize_t, "write", offset, number, gathered(fd, parts, number, offset, path),
                  syscall(SYS_pwritev, fd, parts, number, offset, 0L))
}

ssize_t pwritev(int fd, const struct iovec *parts, int number, off_t offset) {
    return pwritev64(fd, parts, number, offset);
}

int ftruncate64(int fd, off_t size) {
    ON_DESCRIPTOR(int, "truncate", 0, size, sized(fd, size, path), syscall(SYS_ftruncate, fd, size))
}

int ftruncate(int fd, off_t size) { return ftruncate64(fd, size); }

static int allocated(int fd, off_t end, const char *path) {
    struct stat found;
    if (fstat(fd, &found)) die("fstat");
    return sized(fd, end > found.st_size ? end : found.st_size, path);
}

int fallocate64(int fd, int mode, off_t offset, off_t length) {
    ON_DESCRIPTOR(int, "allocate", offset, length,
                  mode ? (int)refused(EOPNOTSUPP) : allocated(fd, offset + length, path),
                  syscall(SYS_fallocate, fd, mode, offset, length))
}

int fallocate(int fd, int mode, off_t offset, off_t length) { return fallocate64(fd, mode, offset, length); }

int posix_fallocate64(int fd, off_t offset, off_t length) {
    return fallocate64(fd, 0, offset, length) ? errno : 0;
}

int posix_fallocate(int fd, off_t offset, off_t length) { return posix_fallocate64(fd, offset, length); }

int fsync(int fd) { ON_DESCRIPTOR(int, "sync", 0, 0, sync_of(fd, path), syscall(SYS_fsync, fd)) }

int fdatasync(int fd) { ON_DESCRIPTOR(int, "sync", 0, 0, sync_of(fd, path), syscall(SYS_fdatasync, fd)) }

int renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned flags) {
    pthread_mutex_lock(&mutex);
    int result;
    if (!ours(to)) {
        result = syscall(SYS_renameat2, from_folder, from, to_folder, to, flags);
    } else {
        enum kind fate = fault(TAKES_NAME, 0, 0, to);
        if (fate == TORN) _exit(DIED);
        if (fate == FULL || fate == BROKEN) {
            result = refused(fate == FULL ? ENOSPC : EIO);
        } else {
            char saved[PATH_MAX] = "";
            struct stat found;
            if (!fstatat(AT_FDCWD, to, &found, 0) && S_ISREG(found.st_mode)) save(to, saved);
            result = syscall(SYS_renameat2, from_folder, from, to_folder, to, flags);
            if (!result) named(RENAMED, to, from, saved);
            if (fate == REPORTED) result = refused(EIO);
        }
        int error = errno;
        tell("rename", to, 0, 0, result);
        errno = error;
    }
    pthread_mutex_unlock(&mutex);
    return result;
}

int renameat(int from_folder, const char *from, int to_folder, const char *to) {
    return renameat2(from_folder, from, to_folder, to, 0);
}

int rename(const char *from, const char *to) { return renameat2(AT_FDCWD, from, AT_FDCWD, to, 0); }

int unlinkat(int folder, const char *path, int flags) {
    pthread_mutex_lock(&mutex);
    int result;
    if (flags || !ours(path) || faccessat(AT_FDCWD, path, F_OK, 0)) {
        result = syscall(SYS_unlinkat, folder, path, flags);
    } else {
        enum kind fate = fault(FREES_NAME, 0, 0, path);
        if (fate == TORN) _exit(DIED);
        if (fate == FULL || fate == BROKEN) {
            result = refused(fate == FULL ? ENOSPC : EIO);
        } else {
            char saved[PATH_MAX];
            save(path, saved);
            result = syscall(SYS_unlinkat, folder, path, flags);
            if (!result) named(REMOVED, path, "", saved);
            if (fate == REPORTED) result = refused(EIO);
        }
        int error = errno;
        tell("remove", path, 0, 0, result);
        errno = error;
    }
    pthread_mutex_unlock(&mutex);
    return result;
}

int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }

int mkdirat(int folder, const char *path, mode_t mode) {
    pthread_mutex_lock(&mutex);
    int result;
    if (!ours(path) || !faccessat(AT_FDCWD, path, F_OK, 0)) {
        result = syscall(SYS_mkdirat, folder, path, mode);
    } else {
        enum kind fate = fault(TAKES_NAME, 0, 1, path);
        if (fate == TORN) _exit(DIED);
        if (fate == FULL || fate == BROKEN) {
            result = refused(fate == FULL ? ENOSPC : EIO);
        } else {
            result = syscall(SYS_mkdirat, folder, path, mode);
            if (!result) named(FOLDER, path, "", "");
            if (fate == REPORTED) result = refused(EIO);
        }
        int error = errno;
        tell("folder", path, 0, 0, result);
        errno = error;
    }
    pthread_mutex_unlock(&mutex);
    return result;
}

int mkdir(const char *path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }

/* --- for ctypes --------------------------------------------------------------------------------- */

/* Once in a process. ``graves`` is a folder on the same file system. */
void faults_arm(const char *below, const char *graves, int which, long at, unsigned long seed) {
    pthread_mutex_lock(&mutex);
    snprintf(directory, sizeof directory, "%s", below);
    snprintf(graveyard, sizeof graveyard, "%s", graves);
    kind = which;
    point = at;
    state = seed;
    armed = 1;
    pthread_mutex_unlock(&mutex);
}

/* Write a line for each call to this descriptor: call, name, offset, length and result. */
void faults_trace(int fd) { trace = fd; }

/* Where the fault was; empty if the point was not reached. */
const char *faults_place(void) { return place; }

void faults_power_cut(void) {
    pthread_mutex_lock(&mutex);
    power_cut();
}
