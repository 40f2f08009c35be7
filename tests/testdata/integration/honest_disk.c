/* A disk that keeps only what was synced, and that fails when it is told to.
 *
 * LD_PRELOAD this. Files below $DISK_FILES have a shadow below $DISK_SHADOW, of the same name: what a power cut would
 * leave of them. A write makes pages dirty. A sync that succeeds writes the dirty pages to the shadow. A sync fails
 * with EIO while the file $DISK_FAILS exists and the path holds the text in it; as with Linux, the pages are clean
 * afterwards although they are not on the disk. Deleting a file deletes its shadow at once, which is the worst case.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE 4096
#define FILES 64
#define PAGES (1 << 16)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct { ino_t inode; unsigned char dirty[PAGES / 8]; } files[FILES];
static int known;

static ssize_t (*real_pwrite)(int, const void *, size_t, off64_t);
static int (*real_fsync)(int), (*real_fdatasync)(int), (*real_ftruncate)(int, off64_t), (*real_unlink)(const char *);

__attribute__((constructor)) static void begin(void) {
    real_pwrite = dlsym(RTLD_NEXT, "pwrite64");
    real_fsync = dlsym(RTLD_NEXT, "fsync");
    real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
    real_ftruncate = dlsym(RTLD_NEXT, "ftruncate64");
    real_unlink = dlsym(RTLD_NEXT, "unlink");
}

static int shadow_of(const char *path, char *shadow) {
    const char *files = getenv("DISK_FILES"), *to = getenv("DISK_SHADOW");
    size_t length = files ? strlen(files) : 0;
    if (!length || !to || strncmp(path, files, length) || path[length] != '/') return 0;
    return snprintf(shadow, 4096, "%s%s", to, path + length) < 4096;
}

static int path_of(int fd, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, 4095);
    if (length < 0) return 0;
    path[length] = 0;
    return 1;
}

static unsigned char *dirty_of(int fd) {
    struct stat state;
    if (fstat(fd, &state) || !S_ISREG(state.st_mode)) return NULL;
    for (int n = 0; n < known; n++)
        if (files[n].inode == state.st_ino) return files[n].dirty;
    if (known == FILES) abort();
    files[known].inode = state.st_ino;
    return files[known++].dirty;
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t offset) {
    ssize_t done = real_pwrite(fd, bytes, count, offset);
    if (done > 0) {
        pthread_mutex_lock(&lock);
        unsigned char *dirty = dirty_of(fd);
        for (off64_t page = offset / PAGE; dirty && page <= (offset + done - 1) / PAGE; page++)
            if (page < PAGES) dirty[page / 8] |= 1 << page % 8;
        pthread_mutex_unlock(&lock);
    }
    return done;
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t offset) { return pwrite64(fd, bytes, count, offset); }

static int fails(const char *path) {
    char text[256] = "";
    const char *switched = getenv("DISK_FAILS");
    int file = switched ? open(switched, O_RDONLY) : -1;
    if (file < 0) return 0;
    ssize_t length = read(file, text, sizeof text - 1);
    close(file);
    text[length > 0 ? length : 0] = 0;
    return strstr(path, text) != NULL;
}

static int sync_with(int (*real)(int), int fd) {
    char path[4096], shadow[4096], page[PAGE];
    struct stat state;
    if (!path_of(fd, path) || !shadow_of(path, shadow)) return real(fd);
    pthread_mutex_lock(&lock);
    unsigned char *dirty = dirty_of(fd);
    int failed = dirty && fails(path);
    if (dirty && !failed) {
        int disk = open(shadow, O_RDWR | O_CREAT, 0600);
        for (int n = 0; n < PAGES; n++)
            if (dirty[n / 8] >> n % 8 & 1) {
                ssize_t length = pread(fd, page, PAGE, (off_t)n * PAGE);
                if (length > 0) real_pwrite(disk, page, length, (off_t)n * PAGE);
            }
        if (!fstat(fd, &state)) real_ftruncate(disk, state.st_size);
        close(disk);
    }
    if (dirty) memset(dirty, 0, PAGES / 8);
    pthread_mutex_unlock(&lock);
    if (failed) {
        errno = EIO;
        return -1;
    }
    return 0;
}

int fsync(int fd) { return sync_with(real_fsync, fd); }
int fdatasync(int fd) { return sync_with(real_fdatasync, fd); }

int unlink(const char *path) {
    char shadow[4096];
    if (shadow_of(path, shadow)) real_unlink(shadow);
    return real_unlink(path);
}
