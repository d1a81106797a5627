/* Devices that live in a library of their own (plugin.c). */
#ifndef BPI_OPEN_H
#define BPI_OPEN_H

#include "door/backend.h"

/* "cuda" or "sim", by number. */
bp_status bpi_plugin_device(const char *kind, int32_t number, const bp_hooks *hooks,
                            bpi_device **device, char *why);

#endif
