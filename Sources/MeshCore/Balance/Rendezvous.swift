/// Highest-random-weight choice (Thaler and Ravishankar 1998): every endpoint has a score for a client, the best one
/// has the client. When an endpoint leaves, only its own clients move.
enum Rendezvous {
    /// Index of the untried endpoint with the best score; 0 where all were tried.
    static func best(_ pool: Pool, _ key: UInt64, _ tried: borrowing TriedEndpoints) -> Int {
        guard let hashes = pool.hashes, let endpoints = pool.endpoints else { return 0 }
        var found = 0
        if pool.hasEqualWeights {
            var highest: UInt64 = 0
            for index in 0..<Int(pool.count) {
                let score = AddressHash.mixed(key ^ hashes[index])
                if score >= highest, !tried.contains(endpoints[index].id) { (highest, found) = (score, index) }
            }
            return found
        }
        var highest = -Double.infinity
        for index in 0..<Int(pool.count) {
            let score = weightedScore(AddressHash.mixed(key ^ hashes[index]), endpoints[index].weight)
            if score >= highest, !tried.contains(endpoints[index].id) { (highest, found) = (score, index) }
        }
        return found
    }

    /// `ln(u) / weight` of a uniform u between 0 and 1: the highest one is each endpoint's in proportion to its weight.
    private static func weightedScore(_ hash: UInt64, _ weight: Int32) -> Double {
        let uniform = (Double(hash >> 11) + 0.5) * 0x1p-53
        return logarithm(uniform) / Double(weight)
    }

    /// The natural logarithm to six digits, without the C library; the same bits on every machine. `x` is above 0.
    static func logarithm(_ x: Double) -> Double {
        // ln(m) = 2 artanh((m - 1) / (m + 1)) for the significand m, 1 ..< 2.
        let s = (x.significand - 1) / (x.significand + 1)
        let s2 = s * s
        let series = 1 + s2 * (1.0 / 3 + s2 * (1.0 / 5 + s2 * (1.0 / 7 + s2 * (1.0 / 9))))
        return Double(x.exponent) * 0.693147180559945309 + 2 * s * series
    }
}
