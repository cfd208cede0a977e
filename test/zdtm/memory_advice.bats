load lib/zdtm

@test "advice, locks and flags of mappings are kept" { zdtm memory_advice; }
