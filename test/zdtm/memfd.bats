load lib/zdtm

@test "a memfd keeps its content, holes, size, name, mode and seals" { zdtm memfd; }
