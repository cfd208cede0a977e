load lib/zdtm

@test "processes share what they shared, and their stacks grow" { zdtm memory_fork; }
