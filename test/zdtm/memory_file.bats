load lib/zdtm

@test "private file mappings keep their changes, shared ones stay the file" { zdtm memory_file; }
