/* All that crtool knows of a CPU is behind this header; one folder each. */
#pragma once

#if defined(__x86_64__)
#include "parasite/arch/x86_64/arch.h"
#else
#error "crtool has no parasite/arch folder for this CPU yet"
#endif
