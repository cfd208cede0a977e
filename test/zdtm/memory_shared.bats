load lib/zdtm

@test "shared anonymous memory stays shared between its mappings" { zdtm memory_shared; }
