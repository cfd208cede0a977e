load lib/zdtm

@test "a memfd keeps its content, holes, size, name, mode and seals" { zdtm memfd; }

@test "one that is open with O_PATH, and one that is open so alone" { zdtm memfd path; }
