console.log(JSON.stringify((0, eval)(Deno.args[0])));
