cd /tmp/bt; rm -rf whole halves both; t=/work/main/build/release/t2v
$t train r30.json --out whole --threads 2 --progress none; echo rc $?
timeout -s TERM 8 $t train r30.json --out halves --threads 1 --progress none; echo rc $?; ls halves
$t train r30.json --out halves --resume --progress none; echo rc $?
cmp whole/reader/model.safetensors halves/reader/model.safetensors && echo same bytes
tail -2 whole/metrics.jsonl
$t eval world2 --reader whole/reader --prompts 4 --frames 9 --sure 0 --progress none --out kept | head -12; tail -1 kept/read.jsonl
for x in 1 2 3 4 5 6 7; do $t train x$x.json --out x --progress none; echo rc $?; done
$t train both.json --out both --progress none; echo rc $?; cat both/metrics.jsonl
$t eval world2 --reader both/reader --vae -m both/model --prompts 2 --frames 5 --size 64x64 --json --progress none | head -20
$t eval world2 --reader none; echo rc $?;  $t eval world2 --reader none --vae; echo rc $?; $t eval world2 --reader none --size 100x100; echo rc $?
