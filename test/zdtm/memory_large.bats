load lib/zdtm

@test "much memory comes back as it was, among threads" { zdtm memory_large; }
