// Command parse reads expositions with Prometheus's own parsers and says what it found, so that ours can be held to it.
//
// Each line of its input is a JSON object {"type", "fallback", "body" (Base64), "native", "classic", "nhcb", "start"};
// each line of its output answers one, see answer.
package main

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"sort"

	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
)

type question struct {
	Type     string `json:"type"`
	Fallback string `json:"fallback"`
	Body     []byte `json:"body"`
	Native   bool   `json:"native"`
	Classic  bool   `json:"classic"`
	NHCB     bool   `json:"nhcb"`
	Start    bool   `json:"start"`
	Limit    int    `json:"limit"`
	Schema   *int32 `json:"schema"`
}

// answer: error is empty where the document was read to its end. Texts are bytes as Latin-1.
type answer struct {
	Samples  []sample             `json:"samples"`
	Metadata map[string][3]string `json:"metadata"`
	Error    string               `json:"error"`
	Panic    bool                 `json:"panic,omitempty"`
}

type sample struct {
	Labels    [][2]string `json:"l"`
	Value     string      `json:"v,omitempty"`
	Timestamp *int64      `json:"t,omitempty"`
	Start     int64       `json:"s,omitempty"`
	Exemplars []one       `json:"e,omitempty"`
	Histogram *native     `json:"h,omitempty"`
	Reduced   *native     `json:"r,omitempty"`
	Refused   string      `json:"x,omitempty"`
}

type one struct {
	Labels    [][2]string `json:"l"`
	Value     string      `json:"v"`
	Timestamp *int64      `json:"t,omitempty"`
}

type native struct {
	Float     bool       `json:"float"`
	Hint      int        `json:"hint"`
	Schema    int32      `json:"schema"`
	Threshold string     `json:"threshold"`
	Zero      string     `json:"zero"`
	Count     string     `json:"count"`
	Sum       string     `json:"sum"`
	Pos       [][2]int64 `json:"pos"`
	Neg       [][2]int64 `json:"neg"`
	PosB      []string   `json:"posb"`
	NegB      []string   `json:"negb"`
	Custom    []string   `json:"custom"`
	Invalid   string     `json:"invalid,omitempty"`
}

func main() {
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 1<<30)
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	for in.Scan() {
		var q question
		if err := json.Unmarshal(in.Bytes(), &q); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		if err := encoder.Encode(read(q)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

func read(q question) (a answer) {
	a.Samples = []sample{}
	a.Metadata = map[string][3]string{}
	defer func() {
		if found := recover(); found != nil {
			a.Panic = true
			a.Error = fmt.Sprint(found)
		}
	}()
	p, err := textparse.New(q.Body, q.Type, labels.NewSymbolTable(), textparse.ParserOptions{
		IgnoreNativeHistograms:                  !q.Native,
		ConvertClassicHistogramsToNHCB:          q.NHCB,
		KeepClassicOnClassicAndNativeHistograms: q.Classic,
		OpenMetricsSkipSTSeries:                 q.Start,
		FallbackContentType:                     q.Fallback,
	})
	if p == nil {
		a.Error = err.Error()
		return a
	}
	for {
		entry, err := p.Next()
		if errors.Is(err, io.EOF) {
			return a
		}
		if err != nil {
			a.Error = err.Error()
			return a
		}
		switch entry {
		case textparse.EntryType:
			name, kind := p.Type()
			a.describe(name, 0, string(kind))
		case textparse.EntryHelp:
			name, help := p.Help()
			a.describe(name, 1, latin(string(help)))
		case textparse.EntryUnit:
			name, unit := p.Unit()
			a.describe(name, 2, latin(string(unit)))
		case textparse.EntrySeries, textparse.EntryHistogram:
			a.Samples = append(a.Samples, take(p, entry, q))
		}
	}
}

func (a *answer) describe(name []byte, place int, text string) {
	key := latin(string(name))
	known, ok := a.Metadata[key]
	if !ok {
		known[0] = "unknown"
	}
	known[place] = text
	a.Metadata[key] = known
}

// take follows the order of calls in the scrape loop: sample, labels, start, exemplars.
func take(p textparse.Parser, entry textparse.Entry, q question) sample {
	var s sample
	var h *histogram.Histogram
	var fh *histogram.FloatHistogram
	if entry == textparse.EntryHistogram {
		_, s.Timestamp, h, fh = p.Histogram()
	} else {
		var value float64
		_, s.Timestamp, value = p.Series()
		s.Value = bits(value)
	}
	if s.Timestamp != nil {
		copied := *s.Timestamp
		s.Timestamp = &copied
	}
	var found labels.Labels
	p.Labels(&found)
	s.Labels = pairs(found)
	if q.Start {
		s.Start = p.StartTimestamp()
	}
	var e exemplar.Exemplar
	for p.Exemplar(&e) {
		given := one{Labels: pairs(e.Labels), Value: bits(e.Value)}
		if e.HasTs {
			ts := e.Ts
			given.Timestamp = &ts
		}
		s.Exemplars = append(s.Exemplars, given)
		e = exemplar.Exemplar{}
	}
	s.Histogram = shown(h, fh)
	if s.Histogram != nil && (q.Limit > 0 || q.Schema != nil) {
		if err := reduce(h, fh, q); err != nil {
			s.Refused = err.Error()
		} else {
			s.Reduced = shown(h, fh)
		}
	}
	return s
}

// reduce does what the scrape loop's appenders do: first the highest schema, then the limit of buckets.
func reduce(h *histogram.Histogram, fh *histogram.FloatHistogram, q question) error {
	size, schema := func() int { return len(h.PositiveBuckets) + len(h.NegativeBuckets) }, func() int32 { return h.Schema }
	lower := func(to int32) error { return h.ReduceResolution(to) }
	if fh != nil {
		size, schema = func() int { return len(fh.PositiveBuckets) + len(fh.NegativeBuckets) }, func() int32 { return fh.Schema }
		lower = func(to int32) error { return fh.ReduceResolution(to) }
	}
	if q.Schema != nil && histogram.IsExponentialSchemaReserved(schema()) && schema() > *q.Schema {
		if err := lower(*q.Schema); err != nil {
			return err
		}
	}
	for q.Limit > 0 && size() > q.Limit {
		if !histogram.IsExponentialSchema(schema()) || schema() <= histogram.ExponentialSchemaMin {
			return errors.New("histogram bucket limit exceeded")
		}
		if err := lower(schema() - 1); err != nil {
			return err
		}
	}
	return nil
}

func shown(h *histogram.Histogram, fh *histogram.FloatHistogram) *native {
	switch {
	case h != nil:
		n := &native{
			Hint: int(h.CounterResetHint), Schema: h.Schema, Threshold: bits(h.ZeroThreshold),
			Zero: fmt.Sprint(h.ZeroCount), Count: fmt.Sprint(h.Count), Sum: bits(h.Sum),
			Pos: spans(h.PositiveSpans), Neg: spans(h.NegativeSpans), Custom: floats(h.CustomValues),
		}
		for _, b := range h.PositiveBuckets {
			n.PosB = append(n.PosB, fmt.Sprint(b))
		}
		for _, b := range h.NegativeBuckets {
			n.NegB = append(n.NegB, fmt.Sprint(b))
		}
		if err := h.Validate(); err != nil {
			n.Invalid = err.Error()
		}
		return n
	case fh != nil:
		n := &native{
			Float: true, Hint: int(fh.CounterResetHint), Schema: fh.Schema, Threshold: bits(fh.ZeroThreshold),
			Zero: bits(fh.ZeroCount), Count: bits(fh.Count), Sum: bits(fh.Sum),
			Pos: spans(fh.PositiveSpans), Neg: spans(fh.NegativeSpans),
			PosB: floats(fh.PositiveBuckets), NegB: floats(fh.NegativeBuckets), Custom: floats(fh.CustomValues),
		}
		if err := fh.Validate(); err != nil {
			n.Invalid = err.Error()
		}
		return n
	}
	return nil
}

func spans(given []histogram.Span) (found [][2]int64) {
	for _, s := range given {
		found = append(found, [2]int64{int64(s.Offset), int64(s.Length)})
	}
	return found
}

func floats(given []float64) (found []string) {
	for _, f := range given {
		found = append(found, bits(f))
	}
	return found
}

// pairs sorts by name and value: names may repeat.
func pairs(given labels.Labels) [][2]string {
	found := [][2]string{}
	given.Range(func(l labels.Label) { found = append(found, [2]string{latin(l.Name), latin(l.Value)}) })
	sort.Slice(found, func(i, j int) bool {
		return found[i][0] < found[j][0] || found[i][0] == found[j][0] && found[i][1] < found[j][1]
	})
	return found
}

func bits(f float64) string {
	return hex.EncodeToString(binary.BigEndian.AppendUint64(nil, math.Float64bits(f)))
}

func latin(s string) string {
	runes := make([]rune, 0, len(s))
	for i := range len(s) {
		runes = append(runes, rune(s[i]))
	}
	return string(runes)
}
