#include <sqlite3.h>

// With a variable number of arguments, which Swift cannot call.
static inline int csqlite_omit_memory_statistics(void) { return sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0); }
