#ifndef MESHD_CSYSTEMD_H
#define MESHD_CSYSTEMD_H
// Where a line was written says nothing here: all go through one function.
#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-daemon.h>
#include <systemd/sd-journal.h>
#endif
