//! Envoy's response flags in words: a flag says why an answer was none of the service's own.

/// Those that a mesh under faults shows; others are told by their letters alone.
pub fn meaning(flag: &str) -> Option<&'static str> {
    Some(match flag {
        "DC" => "the caller hung up",
        "DI" => "delayed by a fault",
        "FI" => "answered by a fault",
        "LH" => "no host passed its health check",
        "LR" => "reset by the sidecar",
        "NC" => "no such cluster",
        "NR" => "no route",
        "OM" => "the sidecar was short of memory",
        "RL" => "rate limited",
        "SI" => "the stream was idle too long",
        "UAEX" => "denied by the authorization service",
        "UC" => "the connection broke off",
        "UF" => "no connection could be made",
        "UH" => "no healthy host",
        "UO" => "a circuit breaker was open",
        "UPE" => "the answer was no HTTP",
        "UR" => "reset by the service",
        "URX" => "all retries were used",
        "UT" => "no answer in time",
        _ => return None,
    })
}

/// `503 UC (the connection broke off)`; several flags are told one by one.
pub fn told(status: &str, flags: &str) -> String {
    let code = if status == "0" { "no answer" } else { status };
    if flags.is_empty() || flags == "-" {
        return code.to_owned();
    }
    let meanings = flags.split(',').filter_map(meaning).collect::<Vec<_>>();
    let meanings = if meanings.is_empty() { String::new() } else { format!(" ({})", meanings.join(", ")) };
    format!("{code} {flags}{meanings}")
}

#[cfg(test)]
mod tests {
    use super::told;

    #[test]
    fn a_flag_is_told_in_words_where_it_is_known() {
        assert_eq!(told("503", "UC"), "503 UC (the connection broke off)");
        assert_eq!(told("503", "UF,URX"), "503 UF,URX (no connection could be made, all retries were used)");
        assert_eq!(told("0", "DC"), "no answer DC (the caller hung up)");
        assert_eq!(told("500", "-"), "500");
        assert_eq!(told("503", "XYZ"), "503 XYZ");
    }
}
