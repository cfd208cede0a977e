load lib/zdtm

@test "pending signals keep their order, sender and value" { zdtm sigpending; }
