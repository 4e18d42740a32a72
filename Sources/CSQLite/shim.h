#include <sqlite3.h>

// With a variable number of arguments, which Swift cannot call.
static inline int csqlite_omit_memory_statistics(void) { return sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0); }

// Through SQLite's own descriptor: closing another one of the same file would drop its locks.
static inline int csqlite_sync(sqlite3 *database) {
    sqlite3_file *file = 0;
    int result = sqlite3_file_control(database, "main", SQLITE_FCNTL_FILE_POINTER, &file);
    if (result != SQLITE_OK || !file || !file->pMethods) return result;
    return file->pMethods->xSync(file, SQLITE_SYNC_NORMAL);
}

// As SQLite does it when it needs them: a region that is there stays as it is. A file system may only have promised its
// blocks, and on a full disk a page that is first written to through the mapping then ends the process (SIGBUS, ext4), so
// each page is written to here, without a change.
static inline int csqlite_extend_shared_memory(sqlite3 *database, int regions, int regionBytes) {
    sqlite3_file *file = 0;
    int result = sqlite3_file_control(database, "main", SQLITE_FCNTL_FILE_POINTER, &file);
    if (result != SQLITE_OK || !file || !file->pMethods) return SQLITE_ERROR;
    for (int number = 0; number < regions; number++) {
        void volatile *region = 0;
        result = file->pMethods->xShmMap(file, number, regionBytes, 1, &region);
        if (result != SQLITE_OK || !region) return SQLITE_IOERR;
        for (int offset = 0; offset < regionBytes; offset += 4096) {
            __atomic_fetch_or((unsigned char volatile *)region + offset, 0, __ATOMIC_RELAXED);
        }
    }
    return SQLITE_OK;
}
