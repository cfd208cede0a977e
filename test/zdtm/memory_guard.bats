load lib/zdtm

@test "guard regions and sealed memory are kept" { zdtm memory_guard; }
