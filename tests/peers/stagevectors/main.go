// Command stagevectors runs the stages of Promtail itself over the documents it reads, and writes what comes out.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sort"
	"time"

	"github.com/go-kit/log"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"gopkg.in/yaml.v2"

	"github.com/grafana/loki/v3/clients/pkg/logentry/stages"
	"github.com/grafana/loki/v3/clients/pkg/promtail/api"
	"github.com/grafana/loki/v3/pkg/logproto"
)

type line struct {
	TsNs   int64             `json:"ts_ns"`
	Line   string            `json:"line"`
	Labels map[string]string `json:"labels"`
}

type out struct {
	TsNs      int64                  `json:"ts_ns"`
	Line      string                 `json:"line"`
	Labels    map[string]string      `json:"labels"`
	Extracted map[string]interface{} `json:"extracted"`
	Metadata  [][2]string            `json:"metadata"`
}

type document struct {
	Name   string `json:"name"`
	Stages string `json:"stages"`
	Lines  []line `json:"lines"`
	Error  string `json:"error,omitempty"`
	Out    []out  `json:"out"`
}

func run(d *document) {
	defer func() {
		if r := recover(); r != nil {
			d.Error = fmt.Sprintf("panic: %v", r)
		}
	}()
	var config stages.PipelineStages
	if err := yaml.Unmarshal([]byte(d.Stages), &config); err != nil {
		d.Error = err.Error()
		return
	}
	name := "job"
	pipeline, err := stages.NewPipeline(log.NewNopLogger(), config, &name, prometheus.NewRegistry())
	if err != nil {
		d.Error = err.Error()
		return
	}
	in := make(chan stages.Entry)
	done := make(chan struct{})
	result := pipeline.Run(in)
	d.Out = []out{}
	go func() {
		for e := range result {
			labels := map[string]string{}
			for k, v := range e.Labels {
				labels[string(k)] = string(v)
			}
			metadata := [][2]string{}
			for _, pair := range e.StructuredMetadata {
				metadata = append(metadata, [2]string{pair.Name, pair.Value})
			}
			sort.Slice(metadata, func(i, j int) bool { return metadata[i][0] < metadata[j][0] })
			d.Out = append(d.Out, out{e.Timestamp.UnixNano(), e.Line, labels, e.Extracted, metadata})
		}
		close(done)
	}()
	for _, l := range d.Lines {
		labels := model.LabelSet{}
		for k, v := range l.Labels {
			labels[model.LabelName(k)] = model.LabelValue(v)
		}
		in <- stages.Entry{
			Extracted: map[string]interface{}{},
			Entry: api.Entry{
				Labels: labels,
				Entry:  logproto.Entry{Timestamp: time.Unix(0, l.TsNs), Line: l.Line},
			},
		}
	}
	close(in)
	<-done
}

func main() {
	raw, err := io.ReadAll(os.Stdin)
	if err != nil {
		panic(err)
	}
	var documents []*document
	if err := json.Unmarshal(raw, &documents); err != nil {
		panic(err)
	}
	for _, d := range documents {
		run(d)
	}
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", " ")
	if err := encoder.Encode(documents); err != nil {
		panic(err)
	}
}
