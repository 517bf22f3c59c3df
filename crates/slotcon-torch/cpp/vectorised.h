// Loops compiled once for each width of a processor's vectors, chosen when the program starts.
#pragma once

#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__)
#define SLOTCON_VECTORISED __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define SLOTCON_VECTORISED
#endif
