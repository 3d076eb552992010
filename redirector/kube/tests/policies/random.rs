//! Schema and agent agree about random specs too: fields, and values at and beyond their bounds.

use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};
use serde_json::{Value, json};

use super::{
    agree::agent,
    server::{Server, schema},
};

const SPECS: u32 = 20_000;

#[test]
fn schema_and_agent_agree_about_random_specs() {
    let seed = std::env::var("REDIRECTOR_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed: u64 = seed.unwrap_or_else(rand::random);
    let mut random = StdRng::seed_from_u64(seed);
    let (server, schema) = (Server::new(), schema());
    let mut accepted = 0;
    for _ in 0..SPECS {
        // From specs that are nearly all well to specs that are hardly ever.
        let odd = *[0.0, 0.005, 0.02, 0.1].choose(&mut random).expect("one");
        let spec = value(&schema, &mut random, odd);
        match (server.admit(&spec), agent(&spec)) {
            (Ok(stored), Ok(meant)) => {
                accepted += 1;
                let defaulted = agent(&stored).unwrap_or_else(|why| panic!("{stored}: {why}"));
                assert_eq!(meant, defaulted, "REDIRECTOR_SEED={seed} {spec}");
            }
            (Err(_), Err(_)) => {}
            (Ok(_), Err(why)) => {
                panic!("REDIRECTOR_SEED={seed} {spec}: the agent refuses it: {why}")
            }
            (Err(why), Ok(_)) => {
                panic!("REDIRECTOR_SEED={seed} {spec}: the API server refuses it: {why}")
            }
        }
    }
    assert!(
        (SPECS / 10..SPECS * 9 / 10).contains(&accepted),
        "REDIRECTOR_SEED={seed}: {accepted} accepted"
    );
}

/// A value for a schema; of another kind or out of bounds with probability `odd`, everywhere.
fn value(schema: &Value, random: &mut StdRng, odd: f64) -> Value {
    if random.random_bool(odd) {
        let others =
            [json!(null), json!(""), json!(7), json!([]), json!({}), json!(true), json!(0.5)];
        return others.choose(random).expect("one").clone();
    }
    match schema["type"].as_str().expect("a type") {
        "object" => object(schema, random, odd),
        "array" => {
            let most = schema["maxItems"].as_u64().expect("a bound");
            let sizes = if random.random_bool(odd) { [0, most, most + 1] } else { [1, 1, 2] };
            let size = *sizes.choose(random).expect("one");
            (0..size).map(|_| value(&schema["items"], random, odd)).collect()
        }
        "integer" => {
            let [from, to] =
                ["minimum", "maximum"].map(|end| schema[end].as_i64().expect("an end"));
            let inside = [from, to, i64::midpoint(from, to)];
            let outside = [from - 1, to + 1, i64::from(i32::MIN), 1 << 32 | from];
            let from_these: &[i64] = if random.random_bool(odd) { &outside } else { &inside };
            json!(from_these.choose(random).expect("one"))
        }
        _ => string(schema, random, odd),
    }
}

fn object(schema: &Value, random: &mut StdRng, odd: f64) -> Value {
    let mut fields = serde_json::Map::new();
    let required: Vec<_> = schema["required"].as_array().into_iter().flatten().collect();
    for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
        let is_required = required.iter().any(|one| *one == name);
        let likely = if is_required { 1.0 - odd } else { 0.25 };
        if random.random_bool(likely) {
            fields.insert(name.clone(), value(inner, random, odd));
        }
    }
    // A tier needs members.
    if fields.contains_key("name") && schema["properties"].get("locality").is_some() {
        if fields.len() == 1 && !random.random_bool(odd) {
            fields.insert("locality".to_owned(), json!("Zone"));
        }
        if fields.len() > 2 && !random.random_bool(odd) {
            fields.retain(|name, _| ["name", "zones", "clusters"].contains(&name.as_str()));
        }
    }
    Value::Object(fields)
}

fn string(schema: &Value, random: &mut StdRng, odd: f64) -> Value {
    if let Some(words) = schema["enum"].as_array() {
        return words.choose(random).expect("one").clone();
    }
    let pattern = schema["pattern"].as_str().expect("a pattern");
    let longest = schema["maxLength"].as_u64().expect("a bound") as usize;
    let good: Vec<String> = if pattern.contains("(h|m|s|ms)") {
        ["1s", "2s", "500ms", "10s", "1m", "0s"].map(str::to_owned).to_vec()
    } else if pattern.starts_with("^/") {
        vec!["/".to_owned(), "/healthz?a=%20".to_owned(), format!("/{}", "p".repeat(longest - 1))]
    } else if pattern.starts_with("^[1-5]") {
        ["200", "200-399", "204-204"].map(str::to_owned).to_vec()
    } else {
        let one = char::from(random.random_range(b'a'..=b'z'));
        vec![format!("{one}1"), format!("0-{one}"), one.to_string().repeat(longest)]
    };
    let strange = [
        "",
        "terminating",
        "checkout",
        "Zone",
        "a b",
        "a-",
        "-a",
        "a\n",
        "zürich",
        "shop/a",
        "a.b",
        "1h1ms",
        "9ms",
        "99999h",
        "1s1s1s1s1s",
        "1.5s",
        "24h",
        "/a",
        "399-200",
        "600",
        "200-",
    ];
    let beyond = "a".repeat(longest + 1);
    let mut strange = strange.to_vec();
    strange.push(&beyond);
    if random.random_bool(odd) {
        return json!(strange.choose(random).expect("one"));
    }
    json!(good.choose(random).expect("one"))
}
