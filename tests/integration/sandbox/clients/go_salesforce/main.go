// Program go_salesforce works an org with github.com/k-capehart/go-salesforce as any user of it
// would, and prints what it saw as one JSON document, a member for each scenario. Whether that is
// right, the test that runs it says. The org's certificate authority comes by SSL_CERT_FILE.
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	salesforce "github.com/k-capehart/go-salesforce/v3"
)

const (
	object = "Commerce_Order__c"
	key    = "External_Id__c"
)

type order struct {
	Id         string  `soql:"selectColumn,fieldName=Id"`
	ExternalId string  `salesforce:"External_Id__c" soql:"selectColumn,fieldName=External_Id__c"`
	Total      float64 `salesforce:"Total__c" soql:"selectColumn,fieldName=Total__c"`
}

type orderFilter struct {
	Like []string `soql:"likeOperator,fieldName=External_Id__c"`
}

type orderQuery struct {
	Select order       `soql:"selectClause,tableName=Commerce_Order__c"`
	Where  orderFilter `soql:"whereClause"`
}

type contact struct {
	LastName string
	Account  struct{ Name string }
}

type row map[string]any

type scenario struct {
	name string
	run  func(*salesforce.Salesforce) (any, error)
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func rows(prefix string, count int) []row {
	made := make([]row, count)
	for i := range made {
		made[i] = row{key: fmt.Sprintf("%s%d", prefix, i), "Total__c": i}
	}
	return made
}

func oneRow(sf *salesforce.Salesforce) (any, error) {
	inserted, err := sf.InsertOne(object, row{key: "go-1", "Total__c": 1.5})
	if err != nil {
		return nil, err
	}
	check(sf.UpdateOne(object, row{"Id": inserted.Id, "Total__c": 2.5}))
	upserted := must(sf.UpsertOne(object, key, row{key: "go-1", "Total__c": 3.5}))
	var found []order
	check(sf.Query("SELECT Id, External_Id__c, Total__c FROM Commerce_Order__c WHERE External_Id__c = 'go-1'", &found))
	check(sf.DeleteOne(object, row{"Id": inserted.Id}))
	gone := sf.DeleteOne(object, row{"Id": inserted.Id})
	return row{"inserted": inserted, "upserted": upserted, "found": found, "gone": text(gone)}, nil
}

func collections(sf *salesforce.Salesforce) (any, error) {
	inserted := must(sf.InsertCollection(object, rows("go-many-", 250), 200))
	first, second := inserted.Results[0].Id, inserted.Results[1].Id
	changes := []row{{"Id": first, "Total__c": 7}, {"Id": second, "Status__c": "no such status"}}
	updated := must(sf.UpdateCollection(object, changes, 200))
	upserted := must(sf.UpsertCollection(object, key, rows("go-many-", 2), 200))
	ids := make([]row, len(inserted.Results))
	for i, result := range inserted.Results {
		ids[i] = row{"Id": result.Id}
	}
	deleted := must(sf.DeleteCollection(object, ids, 100))
	return row{"inserted": len(inserted.Results), "updated": updated, "upserted": upserted,
		"deleted": len(deleted.Results), "bad": deleted.HasSalesforceErrors}, nil
}

func composite(sf *salesforce.Salesforce) (any, error) {
	inserted := must(sf.InsertComposite(object, rows("go-comp-", 10), 5, true))
	changes := []row{{"Id": inserted.Results[0].Id, "Total__c": 70}}
	updated := must(sf.UpdateComposite(object, changes, 200, true))
	upserted := must(sf.UpsertComposite(object, key, rows("go-comp-", 11), 200, true))
	deleted := must(sf.DeleteComposite(object, []row{{"Id": inserted.Results[9].Id}}, 200, true))
	return row{"inserted": inserted, "updated": updated, "upserted": upserted, "deleted": deleted}, nil
}

func queries(sf *salesforce.Salesforce) (any, error) {
	account := must(sf.InsertOne("Account", row{"Name": "go account"}))
	must(sf.InsertOne("Contact", row{"LastName": "Ada", "AccountId": account.Id}))
	must(sf.InsertCollection(object, rows("go-page-", 2100), 200))
	var people []contact
	check(sf.Query("SELECT LastName, Account.Name FROM Contact WHERE AccountId = '"+account.Id+"'", &people))
	var found []order
	check(sf.QueryStruct(orderQuery{Where: orderFilter{Like: []string{"go-page-"}}}, &found))
	seen := map[string]bool{}
	for _, one := range found {
		seen[one.ExternalId] = true
	}
	return row{"people": people, "rows": len(found), "different": len(seen)}, nil
}

func bulk(sf *salesforce.Salesforce) (any, error) {
	records := append(rows("go-bulk-", 3), row{key: "go-bulk-bad", "Total__c": "no number"})
	jobs := must(sf.UpsertBulk(object, key, records, 10000, true))
	loaded := must(sf.GetJobResults(jobs[0]))
	iterator := must(sf.QueryBulkIterator("SELECT Id, External_Id__c FROM Commerce_Order__c WHERE External_Id__c LIKE 'go-bulk-%'"))
	var ids []row
	type cells struct {
		Id         string
		ExternalId string `csv:"External_Id__c"`
	}
	for iterator.Next() {
		var page []cells
		check(iterator.Decode(&page))
		for _, one := range page {
			ids = append(ids, row{"Id": one.Id})
		}
	}
	check(iterator.Error())
	file := filepath.Join(os.Getenv("HOME"), "exported.csv")
	check(sf.QueryBulkExport("SELECT External_Id__c FROM Commerce_Order__c WHERE External_Id__c LIKE 'go-bulk-%' ORDER BY External_Id__c", file))
	exported := string(must(os.ReadFile(file)))
	jobs = must(sf.DeleteBulk(object, ids, 10000, true))
	removed := must(sf.GetJobResults(jobs[0]))
	return row{"loaded": loaded, "read": len(ids), "exported": exported, "removed": removed}, nil
}

func logins(sf *salesforce.Salesforce) (any, error) {
	domain, app := os.Getenv("ORG_URL"), os.Getenv("APP_KEY")
	private := string(must(os.ReadFile(os.Getenv("APP_PRIVATE_KEY"))))
	machine := salesforce.Creds{Domain: domain, ConsumerKey: app, ConsumerSecret: os.Getenv("APP_SECRET")}
	bearer := salesforce.Creds{Domain: domain, Username: os.Getenv("APP_USER"), ConsumerKey: app, ConsumerRSAPem: private}
	password := machine
	password.Username, password.Password, password.SecurityToken = "admin", "secret", "token"
	found := must(salesforce.Init(machine))
	var users []row
	check(found.Query("SELECT Name FROM User LIMIT 1", &users))
	// the library signs for https://login.salesforce.com whatever the domain is
	_, foreign := salesforce.Init(bearer)
	_, refused := salesforce.Init(password)
	_, stranger := salesforce.Init(salesforce.Creds{Domain: domain, AccessToken: "00Dx!no"})
	return row{"flow": found.GetAuthFlow().String(), "bearer": text(foreign), "password": text(refused), "stranger": text(stranger)}, nil
}

func refusals(sf *salesforce.Salesforce) (any, error) {
	var found []row
	field := sf.Query("SELECT Nope FROM Commerce_Order__c", &found)
	_, length := sf.InsertOne(object, row{key: "go-long", "Currency__c": "far too long"})
	_, job := sf.QueryBulkIterator("SELECT Nope FROM Commerce_Order__c")
	return row{"field": text(field), "length": text(length), "job": text(job)}, nil
}

// carryOut returns what a scenario saw, or why it failed: the library's errors end it by a panic.
func carryOut(one scenario, sf *salesforce.Salesforce) (seen any) {
	defer func() {
		if failure := recover(); failure != nil {
			seen = row{"failed": fmt.Sprint(failure)}
		}
	}()
	return must(one.run(sf))
}

func main() {
	creds := salesforce.Creds{Domain: os.Getenv("ORG_URL"), AccessToken: os.Getenv("ORG_TOKEN")}
	sf, err := salesforce.Init(creds, salesforce.WithCompressionHeaders(true), salesforce.WithHTTPTimeout(30*time.Second))
	if err != nil {
		log.Fatal(err)
	}
	seen := row{}
	for _, one := range []scenario{
		{"oneRow", oneRow}, {"collections", collections}, {"composite", composite}, {"queries", queries},
		{"bulk", bulk}, {"logins", logins}, {"refusals", refusals},
	} {
		seen[one.name] = carryOut(one, sf)
	}
	check(json.NewEncoder(os.Stdout).Encode(seen))
}
