load lib/zdtm

@test "each thread keeps its alternate signal stack" { zdtm sigaltstack; }

@test "a handler goes on on the alternate stack that it runs on" { zdtm sigaltstack on; }
