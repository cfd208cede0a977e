load lib/zdtm

@test "processes share open files of many kinds that one was sent by the other" { zdtm fds_passed; }
