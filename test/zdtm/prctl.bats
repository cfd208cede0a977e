load lib/zdtm

@test "personality, TSC and speculation switches are kept per thread" { zdtm prctl; }
