package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// Refusal is an error response of Postern.
type Refusal struct {
	Code    codes.Code
	Message string
	// Reason is a name of the enum in reason.proto; empty if something in front of Postern responded.
	Reason string
	// RetryAfter is zero unless the service said when to retry.
	RetryAfter time.Duration
	// Fields has the violated rule of each invalid field.
	Fields    map[string]string
	RequestID string
}

func (r *Refusal) Error() string {
	text := fmt.Sprintf("%s %s: %s", r.Code, r.Reason, r.Message)
	if r.RetryAfter > 0 {
		text += fmt.Sprintf(" (retry after %s)", r.RetryAfter)
	}
	for field, description := range r.Fields {
		text += fmt.Sprintf("; %s: %s", field, description)
	}
	return text
}

func refusalOf(err error, trailer metadata.MD) *Refusal {
	converted := status.Convert(err)
	refusal := &Refusal{Code: converted.Code(), Message: converted.Message(), Fields: map[string]string{}}
	if ids := trailer.Get("x-request-id"); len(ids) > 0 {
		refusal.RequestID = ids[0]
	}
	for _, detail := range converted.Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			if detail.Domain == "postern" {
				refusal.Reason = detail.Reason
			}
		case *errdetails.RetryInfo:
			refusal.RetryAfter = detail.RetryDelay.AsDuration()
		case *errdetails.BadRequest:
			for _, violation := range detail.FieldViolations {
				refusal.Fields[violation.Field] = violation.Description
			}
		}
	}
	return refusal
}

// call sets a deadline. It retries UNAVAILABLE with a retry delay after that delay, with jitter.
// The error is a *Refusal or that of the context.
func call[Request, Response any](
	ctx context.Context,
	method func(context.Context, *Request, ...grpc.CallOption) (*Response, error),
	request *Request,
) (*Response, error) {
	for attempt := 1; ; attempt++ {
		response, refusal := callOnce(ctx, method, request)
		if refusal == nil {
			return response, nil
		}
		if refusal.Code != codes.Unavailable || refusal.RetryAfter == 0 || attempt == attempts {
			return nil, refusal
		}
		fmt.Fprintln(os.Stderr, refusal)
		select {
		case <-time.After(time.Duration(float64(refusal.RetryAfter) * (1 + rand.Float64()/2))):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func callOnce[Request, Response any](
	ctx context.Context,
	method func(context.Context, *Request, ...grpc.CallOption) (*Response, error),
	request *Request,
) (*Response, *Refusal) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	var trailer metadata.MD
	response, err := method(ctx, request, grpc.Trailer(&trailer))
	if err != nil {
		return nil, refusalOf(err, trailer)
	}
	return response, nil
}
